// Package window says how a stream is cut into windows of event time, and how a windowed key is written.
//
// A window is [start, end): milliseconds since the Unix epoch, start inclusive, end exclusive. Time windows are aligned to
// the epoch and never start before it. A record is late for a window once the operator's stream time, this record's time
// included, has reached the window's end plus the grace period: it is then left out of that window and counted.
//
// Names follow Kafka Streams: [Time] is TimeWindows, [Windowed] is Windowed. Formats are those of its
// TimeWindowedSerializer, so that Java applications read the keys.
package window
