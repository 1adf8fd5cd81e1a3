package topology

// Fan makes one Emit of several: the Fan function of a node whose output is Record[K, V]. Children are called in order (P-06).
func Fan[K, V any](children []any) any {
	emits := make([]Emit[K, V], len(children))
	for i, c := range children {
		emits[i] = EmitOf[K, V](c)
	}
	switch len(emits) {
	case 0:
		return Emit[K, V](func(Record[K, V]) {})
	case 1:
		return emits[0]
	case 2:
		a, b := emits[0], emits[1]
		return Emit[K, V](func(r Record[K, V]) { a(r); b(r) })
	}
	return Emit[K, V](func(r Record[K, V]) {
		for _, emit := range emits {
			emit(r)
		}
	})
}
