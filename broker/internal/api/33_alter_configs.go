package api

// AlterConfigs, key 33, versions 0-2.
//
//	1  throttling after the answer (KIP-219)
//	2  flexible
//
// The configs of a topic become those of the request: what it does not name has its default from then on. Kafka's clients prefer
// IncrementalAlterConfigs. Left out: what is left out there.

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/server"
)

func (a *API) alterConfigs(req *server.Request, r *kmsg.AlterConfigsRequest) server.Reply {
	resp := r.ResponseKind().(*kmsg.AlterConfigsResponse)
	resources := make([]configResource, len(r.Resources))
	for i := range r.Resources {
		resources[i] = configResource{r.Resources[i].ResourceType, r.Resources[i].ResourceName}
	}
	refused := a.changeAll(req, resources, r.ValidateOnly, func(i int, _ map[string]string) (map[string]string, error) {
		return replace(r.Resources[i].Configs)
	})
	for i, res := range resources {
		out := kmsg.NewAlterConfigsResponseResource()
		out.ResourceType, out.ResourceName = res.kind, res.name
		out.ErrorCode, out.ErrorMessage = refused[i].told()
		resp.Resources = append(resp.Resources, out)
	}
	return a.durable(a.log.Enqueued(), nil, resp)
}

// replace returns the configs of a request.
func replace(entries []kmsg.AlterConfigsRequestResourceConfig) (map[string]string, error) {
	configs := make(map[string]string, len(entries))
	for _, c := range entries {
		if _, twice := configs[c.Name]; twice {
			return nil, refusal{kerr.InvalidRequest, fmt.Sprintf("config %s is given more than once", c.Name)}
		}
		if c.Value == nil {
			return nil, refusal{kerr.InvalidRequest, fmt.Sprintf("config %s has no value", c.Name)}
		}
		configs[c.Name] = *c.Value
	}
	return configs, nil
}
