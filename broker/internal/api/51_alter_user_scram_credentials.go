package api

// AlterUserScramCredentials, key 51, versions 0-0.
//
// The client salts the password, so that the broker never sees it, and keeps less than it is sent. The changes of one user happen
// together or not at all. Connections that are open stay what they are.

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/access"
	"github.com/millrace-io/millrace/broker/internal/server"
)

// userChanges are what a request wants of each user.
type userChanges struct {
	order   []string
	faults  map[string]refusal
	touched map[access.Mechanism]map[string]bool
	records map[string][][]byte
}

func (a *API) alterUsers(req *server.Request, r *kmsg.AlterUserSCRAMCredentialsRequest) server.Reply {
	resp := r.ResponseKind().(*kmsg.AlterUserSCRAMCredentialsResponse)
	u := userChanges{faults: map[string]refusal{}, records: map[string][][]byte{},
		touched: map[access.Mechanism]map[string]bool{access.SHA256: {}, access.SHA512: {}}}
	allowed := a.mayCluster(req, opAlter)
	lsn, err := a.coord.ChangeAccess(func(s *access.State) (changes [][]byte) {
		if !allowed {
			u.refuse(r)
			return nil
		}
		u.add(s, r)
		for _, name := range u.order {
			if _, faulty := u.faults[name]; !faulty {
				changes = append(changes, u.records[name]...)
			}
		}
		return changes
	})
	for _, name := range u.order {
		out := kmsg.NewAlterUserSCRAMCredentialsResponseResult()
		out.User = name
		if f, faulty := u.faults[name]; faulty {
			out.ErrorCode, out.ErrorMessage = f.code.Code, &f.message
		}
		resp.Results = append(resp.Results, out)
	}
	return a.durable(lsn, err, resp)
}

func (u *userChanges) fail(user string, code *kerr.Error, why string) {
	if _, known := u.faults[user]; !known {
		u.faults[user] = refusal{code, why}
	}
}

// refuse answers a client that may not alter users: which ones there are is not theirs to know.
func (u *userChanges) refuse(r *kmsg.AlterUserSCRAMCredentialsRequest) {
	refuse := func(user string) {
		if _, known := u.faults[user]; !known {
			u.order = append(u.order, user)
			u.fail(user, kerr.ClusterAuthorizationFailed, kerr.ClusterAuthorizationFailed.Description)
		}
	}
	for i := range r.Deletions {
		refuse(r.Deletions[i].Name)
	}
	for i := range r.Upsertions {
		refuse(r.Upsertions[i].Name)
	}
}

// touch notes a change of a user's credential, and reports whether it can be.
func (u *userChanges) touch(user string, m access.Mechanism) bool {
	if _, known := u.records[user]; !known {
		u.order, u.records[user] = append(u.order, user), [][]byte{}
	}
	switch {
	case user == "":
		u.fail(user, kerr.UnacceptableCredential, "the user name is empty")
	case !m.Known():
		u.fail(user, kerr.UnsupportedSaslMechanism, "the SCRAM mechanism is not known")
	case u.touched[m][user]:
		u.fail(user, kerr.DuplicateResource, "a user's credential cannot be altered twice in a request")
	default:
		u.touched[m][user] = true
		return true
	}
	return false
}

func (u *userChanges) add(s *access.State, r *kmsg.AlterUserSCRAMCredentialsRequest) {
	for _, d := range r.Deletions {
		if m := access.Mechanism(d.Mechanism); u.touch(d.Name, m) {
			record := s.RemoveCredential(d.Name, m)
			if record == nil {
				u.fail(d.Name, kerr.ResourceNotFound, "there is no such credential")
				continue
			}
			u.records[d.Name] = append(u.records[d.Name], record)
		}
	}
	draft := s.Draft()
	for _, x := range r.Upsertions {
		m := access.Mechanism(x.Mechanism)
		switch {
		case !u.touch(x.Name, m):
		case x.Iterations < access.MinIterations:
			u.fail(x.Name, kerr.UnacceptableCredential, "too few iterations")
		case x.Iterations > access.MaxIterations:
			u.fail(x.Name, kerr.UnacceptableCredential, "too many iterations")
		case len(x.Salt) == 0 || len(x.SaltedPassword) == 0:
			u.fail(x.Name, kerr.UnacceptableCredential, "salt or salted password is empty")
		default:
			record, err := draft.SetCredential(x.Name, access.NewCredential(m, x.Iterations, x.Salt, x.SaltedPassword))
			if err != nil {
				u.fail(x.Name, kerr.PolicyViolation, err.Error())
				continue
			}
			u.records[x.Name] = append(u.records[x.Name], record)
		}
	}
}
