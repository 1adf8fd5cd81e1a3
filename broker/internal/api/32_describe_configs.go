package api

// DescribeConfigs, key 32, versions 1-4.
//
//	1  synonyms, source (KIP-226)
//	3  type, documentation (KIP-569)
//	4  flexible
//
// Null names ask for all configs, an empty list too, as in Kafka. Left out: broker loggers, clients and groups.

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/server"
)

func (a *API) describeConfigs(req *server.Request, r *kmsg.DescribeConfigsRequest) server.Reply {
	resp := r.ResponseKind().(*kmsg.DescribeConfigsResponse)
	for i := range r.Resources {
		rr := &r.Resources[i]
		out := kmsg.NewDescribeConfigsResponseResource()
		out.ResourceType, out.ResourceName = rr.ResourceType, rr.ResourceName
		configs, err := a.configsOf(req, rr)
		if err != nil {
			out.ErrorCode, out.ErrorMessage = refusalCode(err).Code, pointer(err.Error())
		}
		for _, c := range configs {
			if len(rr.ConfigNames) == 0 || slices.Contains(rr.ConfigNames, c.name) {
				out.Configs = append(out.Configs, describe(c, r))
			}
		}
		resp.Resources = append(resp.Resources, out)
	}
	return a.durable(a.log.Enqueued(), nil, resp)
}

// configsOf returns all configs of a resource.
func (a *API) configsOf(req *server.Request, rr *kmsg.DescribeConfigsRequestResource) ([]described, error) {
	switch rr.ResourceType {
	case kmsg.ConfigResourceTypeTopic:
		t, kerror := a.topicNamed(req, opDescribeConfigs, rr.ResourceName)
		switch kerror {
		case nil:
		case kerr.TopicAuthorizationFailed:
			return nil, refusal{kerror, kerror.Description}
		default:
			return nil, refusal{kerror, fmt.Sprintf("topic %q does not exist", rr.ResourceName)}
		}
		return describeTopicConfigs(t), nil
	case kmsg.ConfigResourceTypeBroker:
		if !a.mayCluster(req, opDescribeConfigs) {
			return nil, refusal{kerr.ClusterAuthorizationFailed, kerr.ClusterAuthorizationFailed.Description}
		}
		if rr.ResourceName != "" && rr.ResourceName != strconv.Itoa(nodeID) {
			return nil, refusal{kerr.InvalidRequest, fmt.Sprintf("the one broker is %d", nodeID)}
		}
		return a.describeBrokerConfigs(), nil
	default:
		return nil, refusal{kerr.InvalidRequest, "configs are of topics and the broker"}
	}
}

func describe(c described, r *kmsg.DescribeConfigsRequest) kmsg.DescribeConfigsResponseResourceConfig {
	out := kmsg.NewDescribeConfigsResponseResourceConfig()
	out.Name, out.Value, out.ReadOnly, out.Source, out.ConfigType = c.name, &c.value, c.readOnly, c.source, c.kind
	out.IsDefault = c.source == kmsg.ConfigSourceDefaultConfig
	if r.IncludeSynonyms {
		for _, s := range c.synonyms() {
			out.ConfigSynonyms = append(out.ConfigSynonyms, kmsg.DescribeConfigsResponseResourceConfigConfigSynonym{
				Name: s.name, Value: &s.value, Source: s.source,
			})
		}
	}
	if r.IncludeDocumentation {
		out.Documentation = &c.doc
	}
	return out
}
