package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
)

// curve is one question: how a cost changes with one quantity, for several workloads.
type curve struct {
	name  string // of the files
	title string
	x     string // the quantity
	lines []*line
}

// line is a workload, measured at several values of the quantity.
type line struct {
	name   string
	runs   []runConfig
	xs     []int
	result []result
}

// curves are the questions that docs/performance.md answers.
func curves() []*curve {
	base := runConfig{records: 1_000_000, keys: 10_000, partitions: 4, size: 100, workers: 2, overlap: 12}
	return []*curve{
		{"keys", "Keys", "keys", []*line{
			over("count", base, []int{1_000, 10_000, 100_000, 1_000_000, 10_000_000}, func(r *runConfig, x int) {
				r.keys, r.records = x, max(2_000_000, x)
			}),
		}},
		{"partitions", "Partitions", "partitions of the input", each(base, []int{1, 4, 16, 64, 256}, func(r *runConfig, x int) {
			r.partitions = x
		}, "passthrough", "count", "countbyvalue")},
		{"workers", "Workers", "workers", each(base, []int{1, 2, 4}, func(r *runConfig, x int) {
			r.workers = x
		}, "passthrough", "count")},
		{"overlap", "Overlapping windows", "windows that a record is in", []*line{
			over("hopping", base, []int{1, 3, 6, 12, 30, 60}, func(r *runConfig, x int) {
				r.keys, r.records, r.overlap = 1_000, 300_000, x
			}),
		}},
		{"size", "Size of records", "bytes of a value", each(base, []int{100, 300, 1_000, 3_000, 10_000}, func(r *runConfig, x int) {
			r.size, r.records = x, min(r.records, 500_000_000/x)
		}, "passthrough", "count")},
	}
}

// over returns the line of a workload; set makes the configuration of a value.
func over(workload string, base runConfig, xs []int, set func(*runConfig, int)) *line {
	l := &line{name: workload, xs: xs}
	for _, x := range xs {
		r := base
		r.workload = workload
		set(&r, x)
		l.runs = append(l.runs, r)
	}
	return l
}

func each(base runConfig, xs []int, set func(*runConfig, int), workloads ...string) (lines []*line) {
	for _, workload := range workloads {
		lines = append(lines, over(workload, base, xs, set))
	}
	return lines
}

// measure takes the lines in turns, so that a slow minute of the machine does not fall on
// one line only.
func (c *curve) measure(ctx context.Context, m *meter) error {
	for i := range c.lines[0].runs {
		for _, l := range c.lines {
			r, err := m.measure(ctx, l.runs[i])
			if err != nil {
				return fmt.Errorf("%s at %d: %w", l.name, l.xs[i], err)
			}
			log.Printf("%s %s at %d: %.2f µs a record, %.0f MB", c.name, l.name, l.xs[i], r.cpu, r.memory)
			l.result = append(l.result, r)
		}
	}
	return nil
}

// write writes two pictures, and the table with the figures.
func (c *curve) write(dir string) error {
	cpu := chart{title: c.title + ": CPU time of a record", x: c.x, y: "µs", xs: c.lines[0].xs}
	memory := chart{title: c.title + ": peak memory", x: c.x, y: "MB", xs: c.lines[0].xs}
	for _, l := range c.lines {
		cpu.add(l.name, l.values(func(r result) float64 { return r.cpu }))
		memory.add(l.name, l.values(func(r result) float64 { return r.memory }))
	}
	for name, text := range map[string]string{
		c.name + "-cpu.svg": cpu.svg(), c.name + "-memory.svg": memory.svg(), c.name + ".tsv": c.table(),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (l *line) values(of func(result) float64) (values []float64) {
	for _, r := range l.result {
		values = append(values, of(r))
	}
	return values
}

// table returns the figures as tab-separated values.
func (c *curve) table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "workload\t%s\trecords\tCPU µs per record\tpeak memory MB\trecords per s\n", c.x)
	for _, l := range c.lines {
		for i, r := range l.result {
			fmt.Fprintf(&b, "%s\t%d\t%d\t%.2f\t%.0f\t%d\n", l.name, l.xs[i], l.runs[i].records, r.cpu, r.memory, int(r.rate/1000)*1000)
		}
	}
	return b.String()
}
