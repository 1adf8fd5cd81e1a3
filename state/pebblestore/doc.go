// Package pebblestore is the engine on disk, over Pebble: all stores of an instance in one directory, with one block cache.
//
// There is no write-ahead log. The changelogs are the durable copy, and positions are written in the same batch as the data that
// they speak of; so a crash leaves a prefix of the batches, and the changelog's tail is read again. Sync and Close make what was
// applied durable by flushing it into tables.
//
// Pebble treats some errors as the end of the process. Here they are the end of the engine: the call at hand and all later
// ones return an error, and the process decides. A directory that cannot be read gives a *state.CorruptionError.
//
// Concurrency: any number of readers beside one that applies. One corrupt table makes all stores of the directory suspect;
// that is the price of one database for all of them.
package pebblestore
