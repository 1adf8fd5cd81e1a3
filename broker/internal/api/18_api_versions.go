package api

// ApiVersions, key 18, versions 0-4.
//
//	1  throttle time
//	2  as 1
//	3  flexible; client software name and version (KIP-511); features (KIP-584)
//	4  feature ranges that start at 0 may be listed
//
// A version that is not served is answered in version 0 with UNSUPPORTED_VERSION and all ranges, so that the client can
// ask again. Left out: version 5, which names the broker that a client means to reach.

import (
	"maps"
	"regexp"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/server"
)

// softwarePattern is what client software names and versions must match.
var softwarePattern = regexp.MustCompile(`^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$`)

// feature is a cluster feature, with the versions that are supported and the one that is in force.
type feature struct {
	name            string
	lowest, highest int16
	finalized       int16
}

// features are what clients change their behaviour by. metadata.version says nothing here, but tools expect it; it stays
// at a level that Kafka 4.0's tools know.
var features = []feature{
	{"group.version", 0, 1, 1},
	{"metadata.version", 7, 25, 25},
	{"transaction.version", 0, 2, 2},
}

func (a *API) apiVersions(req *server.Request) server.Reply {
	resp := kmsg.NewPtrApiVersionsResponse()
	for _, k := range slices.Sorted(maps.Keys(a.keys)) {
		r := a.keys[k].announced
		entry := kmsg.NewApiVersionsResponseApiKey()
		entry.ApiKey, entry.MinVersion, entry.MaxVersion = k, r.Min, r.Max
		resp.ApiKeys = append(resp.ApiKeys, entry)
	}
	if req.Body == nil {
		resp.ErrorCode = kerr.UnsupportedVersion.Code
		return server.Now(resp)
	}
	resp.Version = req.Version
	r := req.Body.(*kmsg.ApiVersionsRequest)
	if r.Version >= 3 && !(softwarePattern.MatchString(r.ClientSoftwareName) && softwarePattern.MatchString(r.ClientSoftwareVersion)) {
		resp.ErrorCode, resp.ApiKeys = kerr.InvalidRequest.Code, nil
		return server.Now(resp)
	}
	resp.FinalizedFeaturesEpoch = 0
	for _, f := range features {
		if f.lowest > 0 || r.Version >= 4 { // older Java clients cannot parse a range from 0 (KAFKA-17011)
			s := kmsg.NewApiVersionsResponseSupportedFeature()
			s.Name, s.MinVersion, s.MaxVersion = f.name, f.lowest, f.highest
			resp.SupportedFeatures = append(resp.SupportedFeatures, s)
		}
		fin := kmsg.NewApiVersionsResponseFinalizedFeature()
		fin.Name, fin.MinVersionLevel, fin.MaxVersionLevel = f.name, f.finalized, f.finalized
		resp.FinalizedFeatures = append(resp.FinalizedFeatures, fin)
	}
	return server.Now(resp)
}
