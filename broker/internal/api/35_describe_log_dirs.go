package api

// DescribeLogDirs, key 35, versions 1-4.
//
//	1  throttling after the answer (KIP-219)
//	2  flexible
//	3  error code
//	4  size of the file system, and what is left of it (KIP-827)
//
// There is one directory. Null topics ask for all partitions.

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/commitlog"
	"github.com/millrace-io/millrace/broker/internal/server"
)

func (a *API) describeLogDirs(req *server.Request, r *kmsg.DescribeLogDirsRequest) server.Reply {
	resp := r.ResponseKind().(*kmsg.DescribeLogDirsResponse)
	if !a.mayCluster(req, opDescribe) {
		resp.ErrorCode = kerr.ClusterAuthorizationFailed.Code
		return server.Now(resp)
	}
	dir := kmsg.NewDescribeLogDirsResponseDir()
	dir.Dir = a.log.Dir()
	dir.TotalBytes, dir.UsableBytes = a.log.DiskUsage()
	if a.log.Err() != nil {
		dir.ErrorCode = kerr.KafkaStorageError.Code
	}
	if r.Topics == nil {
		for _, t := range a.log.Topics() {
			all := make([]int32, t.Partitions)
			for i := range all {
				all[i] = int32(i)
			}
			dir.Topics = append(dir.Topics, a.describeSizes(t, all))
		}
	}
	for i := range r.Topics {
		if t, ok := a.log.Topic(r.Topics[i].Topic); ok {
			dir.Topics = append(dir.Topics, a.describeSizes(t, r.Topics[i].Partitions))
		}
	}
	resp.Dirs = append(resp.Dirs, dir)
	return server.Now(resp)
}

// describeSizes says how large partitions are. Those that are not there are left out.
func (a *API) describeSizes(t commitlog.Topic, partitions []int32) kmsg.DescribeLogDirsResponseDirTopic {
	out := kmsg.NewDescribeLogDirsResponseDirTopic()
	out.Topic = t.Name
	for _, i := range partitions {
		if p := a.log.Partition(t.ID, i); p != nil {
			op := kmsg.NewDescribeLogDirsResponseDirTopicPartition()
			op.Partition, op.Size = i, p.Bytes()
			out.Partitions = append(out.Partitions, op)
		}
	}
	return out
}
