//go:build !unix

package main

import "errors"

var errNoSignals = errors.New("the ledger needs a Unix: it kills and pauses processes by signals")

func signalKill(int) error     { return errNoSignals }
func signalStop(int) error     { return errNoSignals }
func signalContinue(int) error { return errNoSignals }
func signalEnd(int) error      { return errNoSignals }
