package main

import (
	"strings"
	"testing"
	"time"
)

func TestReport(t *testing.T) {
	t.Parallel()
	at := func(h int) time.Time { return time.Date(2001, 2, 25, h, 0, 0, 0, time.UTC) }
	res := results{
		hours: []hour{
			{"Chicago, IL", at(14), HourStats{12, 9, 1522, 240}},
			{"Chicago, IL", at(15), HourStats{3, 0, -20, 4}},
			{"A city with a name that is much too long, TX", at(16), HourStats{1, 1, 761, 761}},
		},
		routes: []route{
			{"JFK-SJU", RouteStats{11, 691, 1597}},
			{"XXX-YYY", RouteStats{12, 60, 12}},
			{"LAS-SFO", RouteStats{9, 9000, 414}}, // too few to count
		},
	}
	s := summary{
		source: "x.json", total: 20_000, loaded: 1_500, airports: 3_376, read: 60_000, written: 61_234, commits: 12,
		dropped: []dropCount{{"bad date", 3}, {"unknown origin", 1}}, took: 1500 * time.Millisecond, loading: 500 * time.Millisecond,
		log: "on the embedded broker",
	}
	var out strings.Builder
	if err := writeReport(&out, &res, &s); err != nil {
		t.Fatal(err)
	}
	want := `
The worst hours by city: most minutes lost

  city                     hour of departure       flights  delayed  minutes  longest
  Chicago, IL              Sun 25 Feb 2001, 14:00       12        9    1,522      240  ████████████
  A city with a name that… Sun 25 Feb 2001, 16:00        1        1      761      761  ██████
  Chicago, IL              Sun 25 Feb 2001, 15:00        3        0      -20        4  

The worst routes: longest average delay, routes of 10 flights or more

  route                                            flights    miles  minutes  average
  JFK-SJU  New York to San Juan                         11    1,597      691     62.8  ████████████
  XXX-YYY  XXX to YYY                                   12       12       60      5.0  █

  input    20,000 flights (x.json), loaded 1,500 of them now; 3,376 airports
  read     60,000 records from the log, 12 commits
  written  61,234 records to the log; the results are 3 hours and 3 routes
  dropped  4: 3 bad date, 1 unknown origin
  took     1.50 s, 0.50 s of it until all was loaded, 40,000 records/s, on the embedded broker

`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
	if err := writeReport(failingWriter{}, &res, &s); err == nil {
		t.Error("a failed write is no error")
	}
	out.Reset()
	if err := writeReport(&out, &results{}, &summary{}); err != nil || !strings.Contains(out.String(), "no flights") {
		t.Errorf("nothing: %v\n%s", err, out.String())
	}
}

func TestConsole(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	c := newConsole(&out, time.Second)
	now := time.Unix(1000, 0)
	c.progress(now, "one")
	c.progress(now.Add(999*time.Millisecond), "too soon")
	c.progress(now.Add(time.Second), "two")
	if _, err := c.Write([]byte("log line\n")); err != nil {
		t.Fatal(err)
	}
	c.clear()
	if want := "one\ntwo\nlog line\n"; out.String() != want {
		t.Errorf("without a terminal: %q, want %q", out.String(), want)
	}
	out.Reset()
	c.terminal = true
	c.progress(now, "one")
	if _, err := c.Write([]byte("log line\n")); err != nil {
		t.Fatal(err)
	}
	c.progress(now, "two")
	c.clear()
	line := func(s string) string { return clearLine + cutLines + s + wrapLines }
	if want := line("one") + clearLine + "log line\n" + cutLines + "one" + wrapLines + line("two") + clearLine; out.String() != want {
		t.Errorf("on a terminal: %q, want %q", out.String(), want)
	}
}
