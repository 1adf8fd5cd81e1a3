package main

import (
	"fmt"
	"slices"

	"github.com/millrace-io/millrace/topology"
)

// names are the topics and applications of one run. A prefix keeps runs apart in one log.
type names struct {
	Prefix string
}

// The applications.
func (n names) bank() string  { return n.Prefix + "bank" }
func (n names) views() string { return n.Prefix + "views" }

// The topics that the bank reads and writes.
func (n names) transfers() string { return n.Prefix + "transfers" } // by account that pays
func (n names) credits() string   { return n.Prefix + "credits" }   // by account that receives
func (n names) entries() string   { return n.Prefix + "entries" }   // the ledger, by account
func (n names) rejected() string  { return n.Prefix + "rejected" }  // by account that pays
func (n names) dead() string      { return n.Prefix + "dead" }      // by input partition
func (n names) receipts() string  { return n.Prefix + "receipts" }  // of transactions, by incarnation
func (n names) balances() string  { return topology.ChangelogTopic(n.bank(), balancesName) }

// The topics of the views.
func (n names) owners() string     { return n.Prefix + "owners" }     // a table, by account
func (n names) statements() string { return n.Prefix + "statements" } // by account
func (n names) activity() string   { return n.Prefix + "activity" }   // by account and window
func (n names) settled() string    { return n.Prefix + "settled" }    // by account and window that has closed
func (n names) visits() string     { return n.Prefix + "visits" }     // by account and session
func (n names) peers() string      { return n.Prefix + "peers" }      // by account
func (n names) funded() string     { return n.Prefix + "funded" }     // by account
func (n names) byPeer() string     { return n.views() + "-" + byPeerName + "-repartition" }
func (n names) windows() string    { return topology.ChangelogTopic(n.views(), windowsName) }
func (n names) unsettled() string  { return topology.ChangelogTopic(n.views(), settledName+"-store") }
func (n names) sessions() string   { return topology.ChangelogTopic(n.views(), sessionsName) }
func (n names) peerCounts() string { return topology.ChangelogTopic(n.views(), peersName) }
func (n names) received() string   { return topology.ChangelogTopic(n.views(), receivedName) }

// Names that the topologies give to repartition topics and stores.
const (
	balancesName = "balances"
	windowsName  = "windows"
	settledName  = "settled"
	sessionsName = "sessions"
	peersName    = "peers"
	receivedName = "received"
	byPeerName   = "by-peer"
)

// all returns every topic of a run, each after those that it is made of.
func (n names) all() []string {
	return []string{
		n.owners(), n.transfers(), n.credits(), n.entries(), n.rejected(), n.dead(), n.receipts(), n.balances(),
		n.byPeer(), n.statements(), n.activity(), n.windows(), n.settled(), n.unsettled(), n.visits(), n.sessions(), n.peers(), n.peerCounts(),
		n.funded(), n.received(),
	}
}

// whole returns the topics that keep everything: all but the repartition topic, which is purged of what has been read.
func (n names) whole() []string {
	return slices.DeleteFunc(n.all(), func(topic string) bool { return topic == n.byPeer() })
}

// created returns the topics that exist before the applications do, but for the owners.
func (n names) created() []string {
	return []string{
		n.transfers(), n.credits(), n.entries(), n.rejected(), n.dead(), n.receipts(), n.statements(), n.activity(),
		n.settled(), n.visits(), n.peers(), n.funded(),
	}
}

// account returns the name of an account.
func account(i int) string { return fmt.Sprintf("account-%04d", i) }

// openingBalance is what every account begins with.
const openingBalance = 1000

// owner returns the owner of an account, "" if it has none: one in sixteen has not.
func owner(i int) string {
	if i%16 == 15 {
		return ""
	}
	return fmt.Sprintf("owner-%d", i%97)
}
