package api

// IncrementalAlterConfigs, key 44, versions 0-1.
//
//	1  flexible
//
// Set, delete, and, for configs that are lists, append and subtract, which begin from the default where nothing was set. The
// changes of one resource happen together or not at all, and apply to whatever is appended after the answer. Left out: the
// broker's own configs, which are given where it is opened, and those of loggers, clients and groups.

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/commitlog"
	"github.com/millrace-io/millrace/broker/internal/server"
)

func (a *API) incrementalAlterConfigs(req *server.Request, r *kmsg.IncrementalAlterConfigsRequest) server.Reply {
	resp := r.ResponseKind().(*kmsg.IncrementalAlterConfigsResponse)
	resources := make([]configResource, len(r.Resources))
	for i := range r.Resources {
		resources[i] = configResource{r.Resources[i].ResourceType, r.Resources[i].ResourceName}
	}
	refused := a.changeAll(req, resources, r.ValidateOnly, func(i int, configs map[string]string) (map[string]string, error) {
		return alter(configs, r.Resources[i].Configs)
	})
	for i, res := range resources {
		out := kmsg.NewIncrementalAlterConfigsResponseResource()
		out.ResourceType, out.ResourceName = res.kind, res.name
		out.ErrorCode, out.ErrorMessage = refused[i].told()
		resp.Resources = append(resp.Resources, out)
	}
	return a.durable(a.log.Enqueued(), nil, resp)
}

// configResource is what configs are of.
type configResource struct {
	kind kmsg.ConfigResourceType
	name string
}

// outcome is how a change went; nil: well.
type outcome struct{ error }

// told returns the outcome's code and message for the client.
func (o outcome) told() (int16, *string) {
	if o.error == nil {
		return 0, nil
	}
	return refusalCode(o.error).Code, pointer(o.Error())
}

// changeAll changes the configs of resources, each by itself, and refuses those that are named more than once. change is called with the
// number of the resource.
func (a *API) changeAll(req *server.Request, resources []configResource, validateOnly bool,
	change func(i int, configs map[string]string) (map[string]string, error)) []outcome {
	times := make(map[configResource]int, len(resources))
	for _, r := range resources {
		times[r]++
	}
	out := make([]outcome, len(resources))
	for i, r := range resources {
		if times[r] > 1 {
			out[i] = outcome{refusal{kerr.InvalidRequest, "the request names the resource more than once"}}
			continue
		}
		out[i] = outcome{a.changeConfigs(req, r.kind, r.name, validateOnly, func(configs map[string]string) (map[string]string, error) {
			return change(i, configs)
		})}
	}
	return out
}

// changeConfigs replaces the configs of a resource by what change makes of them, or, if they are to be validated only, checks
// whether it could.
func (a *API) changeConfigs(req *server.Request, kind kmsg.ConfigResourceType, name string, validateOnly bool,
	change func(map[string]string) (map[string]string, error)) error {
	switch kind {
	case kmsg.ConfigResourceTypeTopic:
	case kmsg.ConfigResourceTypeBroker:
		if !a.mayCluster(req, opAlterConfigs) {
			return refusal{kerr.ClusterAuthorizationFailed, kerr.ClusterAuthorizationFailed.Description}
		}
		if name != "" && name != strconv.Itoa(nodeID) {
			return refusal{kerr.InvalidRequest, fmt.Sprintf("the one broker is %d", nodeID)}
		}
		return refusal{kerr.InvalidRequest, "the broker's configs are given where it is opened and cannot be changed while it runs"}
	default:
		return refusal{kerr.InvalidRequest, "configs that can be changed are of topics"}
	}
	t, kerror := a.topicNamed(req, opAlterConfigs, name)
	switch kerror {
	case nil:
	case kerr.TopicAuthorizationFailed:
		return refusal{kerror, kerror.Description}
	default:
		return refusal{kerror, fmt.Sprintf("topic %q does not exist", name)}
	}
	if validateOnly {
		configs, err := change(t.Configs)
		if err != nil {
			return err
		}
		return commitlog.CheckConfigs(configs)
	}
	_, err := a.log.ConfigureTopic(t.ID, change)
	return err
}

// alter returns what a topic's configs are after the changes. Values are for the log to check.
func alter(configs map[string]string, changes []kmsg.IncrementalAlterConfigsRequestResourceConfig) (map[string]string, error) {
	configs = maps.Clone(configs)
	seen := make(map[string]bool, len(changes))
	for _, c := range changes {
		if seen[c.Name] {
			return nil, refusal{kerr.InvalidRequest, fmt.Sprintf("config %s is changed more than once", c.Name)}
		}
		seen[c.Name] = true
		if c.Op == kmsg.IncrementalAlterConfigOpDelete {
			delete(configs, c.Name)
			continue
		}
		if c.Value == nil {
			return nil, refusal{kerr.InvalidRequest, fmt.Sprintf("config %s has no value", c.Name)}
		}
		switch c.Op {
		case kmsg.IncrementalAlterConfigOpSet:
			configs[c.Name] = *c.Value
		case kmsg.IncrementalAlterConfigOpAppend, kmsg.IncrementalAlterConfigOpSubtract:
			old, err := presentList(configs, c.Name)
			if err != nil {
				return nil, err
			}
			configs[c.Name] = alterList(old, splitList(*c.Value), c.Op == kmsg.IncrementalAlterConfigOpAppend)
		default:
			return nil, refusal{kerr.InvalidRequest, fmt.Sprintf("config %s: operation %d is not known", c.Name, c.Op)}
		}
	}
	return configs, nil
}

// presentList returns the elements of a config that is a list: as set, or else the default.
func presentList(configs map[string]string, name string) ([]string, error) {
	for _, known := range topicConfigs {
		if known.name != name || known.kind != kmsg.ConfigTypeList {
			continue
		}
		if v, ok := configs[name]; ok {
			return splitList(v), nil
		}
		return splitList(known.fallback), nil
	}
	return nil, refusal{kerr.InvalidConfig, fmt.Sprintf("config %s is not a list: it can be set or deleted only", name)}
}

// alterList adds elements that are not there yet, or takes them out.
func alterList(list, elements []string, add bool) string {
	for _, e := range elements {
		if at := slices.Index(list, e); add && at < 0 {
			list = append(list, e)
		} else if !add && at >= 0 {
			list = slices.Delete(list, at, at+1)
		}
	}
	return strings.Join(list, ",")
}

func splitList(value string) (list []string) {
	for e := range strings.SplitSeq(value, ",") {
		if e = strings.TrimSpace(e); e != "" {
			list = append(list, e)
		}
	}
	return list
}
