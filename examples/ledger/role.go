package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
)

// roleEnv holds, in a process that the driver has started, what it is to be: a role in JSON. The driver itself has none.
const roleEnv = "MILLRACE_LEDGER_ROLE"

// role is the part of one process.
type role struct {
	Broker   *brokerRole
	Instance *instanceRole
	Feeder   *feederRole
}

// runRole runs the driver, or the part that text describes.
func runRole(ctx context.Context, text string, args []string, stdout, stderr io.Writer) error {
	if text == "" {
		o, err := parseOptions(args, stderr)
		if err != nil {
			return err
		}
		return drive(ctx, o, stdout, stderr)
	}
	var r role
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return fmt.Errorf("%s: %w", roleEnv, err)
	}
	switch {
	case r.Broker != nil:
		return r.Broker.run(ctx, stdout, stderr)
	case r.Instance != nil:
		return r.Instance.run(ctx, stderr)
	case r.Feeder != nil:
		return r.Feeder.run(ctx)
	default:
		return fmt.Errorf("%s names no role", roleEnv)
	}
}
