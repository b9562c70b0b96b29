package main

import (
	"encoding/xml"
	"strings"
	"testing"
)

func TestChart(t *testing.T) {
	t.Parallel()
	c := chart{title: "Keys & more", x: "keys", y: "µs", xs: []int{1_000, 10_000, 1_000_000}}
	c.add("count", []float64{0.9, 1.1, 6.3})
	c.add("passthrough", []float64{1.3, 1.3, 6.2})
	picture := c.svg()
	var document struct {
		Lines []struct {
			Points string `xml:"points,attr"`
		} `xml:"polyline"`
		Texts []string `xml:"text"`
	}
	if err := xml.Unmarshal([]byte(picture), &document); err != nil {
		t.Fatal(err)
	}
	if len(document.Lines) != 2 || document.Lines[0].Points != "60.0,244.1 290.0,238.4 520.0,88.9" {
		t.Errorf("lines are %+v", document.Lines)
	}
	all := strings.Join(document.Texts, "|")
	for _, want := range []string{"Keys & more", "1 k", "1 M", "0", "2", "4", "6", "µs", "count", "passthrough"} {
		if !strings.Contains("|"+all+"|", "|"+want+"|") {
			t.Errorf("the picture lacks %q: %s", want, all)
		}
	}
	if count, pass := c.labelAt(0), c.labelAt(1); pass < count+15 {
		t.Errorf("the names stand at %.0f and %.0f, one on the other", count, pass)
	}
}

func TestChartStep(t *testing.T) {
	t.Parallel()
	for most, want := range map[float64]float64{0: 1, 0.9: 0.2, 1: 0.2, 2.1: 0.5, 5: 1, 9: 2, 540: 100} {
		c := chart{}
		c.add("", []float64{most})
		if got := c.step(); got != want {
			t.Errorf("step %g for values up to %g, want %g", got, most, want)
		}
	}
}
