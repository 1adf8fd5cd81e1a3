//go:build planted

package planted

import "os"

// Is reports whether a bug is planted.
func Is(b Bug) bool { return os.Getenv("MILLRACE_PLANTED") == string(b) }
