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
	times := make(map[configResource]int, len(r.Resources))
	for i := range r.Resources {
		times[configResource{r.Resources[i].ResourceType, r.Resources[i].ResourceName}]++
	}
	for i := range r.Resources {
		rr := &r.Resources[i]
		out := kmsg.NewAlterConfigsResponseResource()
		out.ResourceType, out.ResourceName = rr.ResourceType, rr.ResourceName
		var err error
		if times[configResource{rr.ResourceType, rr.ResourceName}] > 1 {
			err = refusal{kerr.InvalidRequest, namedTwice}
		} else {
			err = a.changeConfigs(req, rr.ResourceType, rr.ResourceName, r.ValidateOnly, func(map[string]string) (map[string]string, error) {
				return replace(rr.Configs)
			})
		}
		if err != nil {
			out.ErrorCode, out.ErrorMessage = refusalCode(err).Code, pointer(err.Error())
		}
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
