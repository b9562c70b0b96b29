package topologytest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/processor"
)

// player runs the commands of one scenario.
type player struct {
	t       testing.TB
	s       Script
	d       *Driver
	shown   map[string]int // number of records, by topic, that were shown or sent
	dropped map[string]int64
}

// run runs a command, and returns what it shows.
func (p *player) run(line string) ([]string, error) {
	words := strings.Fields(line)
	switch {
	case words[0] == "topology" && len(words) == 2 && p.d == nil:
		var err error
		p.d, err = p.s.build(p.t, words[1])
		return nil, err
	case p.d == nil:
		return nil, errors.New("want the line topology NAME first")
	case words[0] == "rows" && len(words) == 2:
		return p.rows(words[1])
	}
	step, err := p.step(line, words)
	if err != nil {
		return nil, err
	}
	failed := p.d.Try(step)
	results, err := p.news()
	if failed != nil {
		results = append(results, "error: "+failed.Error())
	}
	return results, err
}

// step returns the call of the driver for a command.
func (p *player) step(line string, words []string) (func(), error) {
	switch words[0] {
	case "commit":
		if len(words) > 1 {
			return nil, errors.New("commit takes nothing more")
		}
		return p.d.Commit, nil
	case "crash":
		switch {
		case len(words) == 1:
			return func() { p.d.CrashAll() }, nil
		case len(words) == 2 && words[1] == "lose":
			return func() { p.d.CrashAll(LoseDisk) }, nil
		}
		return nil, errors.New("want crash or crash lose")
	case "clock":
		by, err := time.ParseDuration(strings.TrimSpace(strings.TrimPrefix(line, "clock")))
		return func() { p.d.Advance(by) }, err
	}
	return p.send(line)
}

// send parses a record.
func (p *player) send(line string) (func(), error) {
	topic, rest, _ := strings.Cut(line, " @")
	f := p.s.topic(topic)
	if f == nil {
		return nil, fmt.Errorf("want a command, or a record of a topic that Formats has: TOPIC @TIME KEY=VALUE; there is no Format of %q", topic)
	}
	when, record, _ := strings.Cut(rest, " ")
	at, err := time.ParseDuration(when)
	if err != nil {
		return nil, err
	}
	r, err := f.parse(record)
	if err != nil {
		return nil, err
	}
	r.Timestamp = processor.Timestamp(at.Milliseconds())
	return func() {
		f.send(p.d, r)
		p.shown[topic]++
	}, nil
}

// news returns what has happened since the last command.
func (p *player) news() (results []string, err error) {
	for _, topic := range slices.Sorted(maps.Keys(p.d.logs.topics)) {
		f := p.s.topic(topic)
		if f == nil {
			continue
		}
		order := p.d.logs.topics[topic].order
		for _, r := range order[p.shown[topic]:] {
			text, err := f.text(r)
			if err != nil {
				return nil, fmt.Errorf("topic %s, partition %d, offset %d: %w", topic, r.Partition, r.Offset, err)
			}
			results = append(results, fmt.Sprintf("%s @%s %s", topic, timeText(r.Timestamp), text))
		}
		p.shown[topic] = len(order)
	}
	dropped := p.d.DropReasons()
	for _, reason := range slices.Sorted(maps.Keys(dropped)) {
		if n := dropped[reason] - p.dropped[reason]; n > 0 {
			results = append(results, fmt.Sprintf("dropped %d: %s", n, reason))
		}
	}
	p.dropped = dropped
	return results, nil
}

func (p *player) rows(store string) ([]string, error) {
	i := slices.IndexFunc(p.s.Formats, func(f Format) bool { return f.name == store && f.rows != nil })
	if i < 0 {
		return nil, fmt.Errorf("there is no Format of store %q", store)
	}
	return p.s.Formats[i].rows(p.d)
}

// topic returns the Format of a topic, nil if there is none. The store of a table may
// have the same name.
func (s Script) topic(name string) *topicFormat {
	i := slices.IndexFunc(s.Formats, func(f Format) bool { return f.name == name && f.topic != nil })
	if i < 0 {
		return nil
	}
	return s.Formats[i].topic
}
