// Package batch reads and makes record batches of version 2 (magic 2), the only ones the broker stores.
package batch
