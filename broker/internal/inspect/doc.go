// Package inspect is how the contents of files are told to a person or a program: a sequence of items, each a kind and fields in order.
// The packages that own a format make the items; the command millrace prints them.
package inspect
