package graph

import "fmt"

// FormatChange says why rows would be misread: a format of their values is not the one
// that it was.
type FormatChange struct {
	Number   int    // of the format
	Was, Is  string // Is is empty if there is no format with the number any more
	Formats  int    // before
	Newest   string // the present newest format
	newestIs int    // its number
}

// FormatsContinue compares the formats that the values of a store had, by number, with
// the present ones. The newest is last. It returns nil if rows of all earlier formats are
// still read as what they are. "" is a format that no row has any more.
func FormatsContinue(was, now []string) *FormatChange {
	change := func(i int, is string) *FormatChange {
		return &FormatChange{Number: i, Was: was[i], Is: is, Formats: len(was), Newest: now[len(now)-1], newestIs: len(now) - 1}
	}
	if len(now) < len(was) {
		return change(len(was)-1, "")
	}
	for i := range was {
		if was[i] != "" && now[i] != "" && !FormatsAgree(was[i], now[i]) {
			return change(i, now[i])
		}
	}
	return nil
}

// unmigrated reports whether there was one format only, and another one takes its place.
func (c *FormatChange) unmigrated() bool { return c.Formats == 1 && c.newestIs == 0 }

func (c *FormatChange) Error() string {
	switch {
	case c.unmigrated():
		return fmt.Sprintf("had values of format %s and has now %s: its rows would be misread", c.Was, c.Newest)
	case c.Is == "" && FormatsAgree(c.Was, c.Newest):
		return fmt.Sprintf("has rows of format %d (%s), and may have rows of earlier formats, but the topology has lost %d of their Migrate options: put the options back or, if all rows are converted, Migrated(%d) in their place",
			c.Number, c.Was, c.Number-c.newestIs, c.Number-c.newestIs)
	case c.Is == "":
		return fmt.Sprintf("has rows of format %d (%s), and the newest format of this topology is %d (%s): its rows would be misread: run the version of the program that has format %d, or a later one",
			c.Number, c.Was, c.newestIs, c.Newest, c.Number)
	}
	return fmt.Sprintf("has rows whose format %d was %s and is now %s: its rows would be misread: keep the Migrate options as they were, and add the new one behind them", c.Number, c.Was, c.Is)
}
