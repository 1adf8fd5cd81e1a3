package client

import (
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// Versions from which on a request belongs to transactions of version 2 (KIP-890): partitions and offsets join the
// transaction by being written, and its end bumps the producer's epoch.
const (
	produceV2         = 12
	endTxnV2          = 5
	txnOffsetCommitV2 = 5
)

// transactionV2 reports whether the log has finalised transaction.version 2 and serves the requests that go with it.
func transactionV2(resp *kmsg.ApiVersionsResponse) bool {
	if resp.FinalizedFeaturesEpoch < 0 {
		return false
	}
	served := map[int16]int16{}
	for _, k := range resp.ApiKeys {
		served[k.ApiKey] = k.MaxVersion
	}
	if served[kmsg.Produce.Int16()] < produceV2 || served[kmsg.EndTxn.Int16()] < endTxnV2 || served[kmsg.TxnOffsetCommit.Int16()] < txnOffsetCommitV2 {
		return false
	}
	for _, f := range resp.FinalizedFeatures {
		if f.Name == "transaction.version" {
			return f.MaxVersionLevel >= 2
		}
	}
	return false
}

// maxVersions caps what is sent. Offsets stay with topic names: from TxnOffsetCommit 6, OffsetCommit 10 and OffsetFetch 10 on,
// they go by topic id.
func maxVersions(v2 bool) *kversion.Versions {
	v := kversion.Stable()
	v.SetMaxKeyVersion(kmsg.OffsetCommit.Int16(), 9)
	v.SetMaxKeyVersion(kmsg.OffsetFetch.Int16(), 9)
	v.SetMaxKeyVersion(kmsg.TxnOffsetCommit.Int16(), txnOffsetCommitV2)
	if !v2 {
		v.SetMaxKeyVersion(kmsg.Produce.Int16(), produceV2-1)
		v.SetMaxKeyVersion(kmsg.EndTxn.Int16(), endTxnV2-1)
		v.SetMaxKeyVersion(kmsg.TxnOffsetCommit.Int16(), txnOffsetCommitV2-1)
	}
	return v
}
