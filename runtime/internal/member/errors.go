package member

import "errors"

// ErrLost means that the group has forgotten the member; it will join anew.
var ErrLost = errors.New("membership lost")
