package main

import (
	"fmt"

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
func (n names) credits() string   { return n.bank() + "-" + creditsName + "-repartition" }
func (n names) entries() string   { return n.Prefix + "entries" }  // the ledger, by account
func (n names) rejected() string  { return n.Prefix + "rejected" } // by account that pays
func (n names) dead() string      { return n.Prefix + "dead" }     // by input partition
func (n names) receipts() string  { return n.Prefix + "receipts" } // of transactions, by incarnation
func (n names) balances() string  { return topology.ChangelogTopic(n.bank(), balancesName) }

// The topics of the views.
func (n names) owners() string     { return n.Prefix + "owners" }     // a table, by account
func (n names) statements() string { return n.Prefix + "statements" } // by account
func (n names) activity() string   { return n.Prefix + "activity" }   // by account and window
func (n names) windows() string    { return topology.ChangelogTopic(n.views(), windowsName) }

// Names that the topologies give to repartition topics and stores.
const (
	creditsName  = "credits"
	balancesName = "balances"
	windowsName  = "windows"
)

// all returns every topic of a run, each after those that it is made of.
func (n names) all() []string {
	return []string{
		n.owners(), n.transfers(), n.credits(), n.entries(), n.rejected(), n.dead(), n.receipts(), n.balances(),
		n.statements(), n.activity(), n.windows(),
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
