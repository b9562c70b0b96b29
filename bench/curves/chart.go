package main

import (
	"fmt"
	"html"
	"math"
	"strconv"
	"strings"
)

// chart is a line chart. The values on the x axis are equally far apart, because each is
// a multiple of the one before.
type chart struct {
	title, x, y string
	xs          []int
	names       []string
	values      [][]float64
}

func (c *chart) add(name string, values []float64) {
	c.names, c.values = append(c.names, name), append(c.values, values)
}

// The picture, in pixels.
const (
	width, height            = 640, 320
	left, right, top, bottom = 60, 120, 40, 50
)

var colours = []string{"#1f6feb", "#d1242f", "#1a7f37"}

// svg returns the picture.
func (c *chart) svg() string {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", width, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="white"/>`+"\n", width, height)
	text(&b, width/2, 22, "middle", "#24292f", c.title)
	text(&b, (left+width-right)/2, height-12, "middle", "#57606a", c.x)
	step := c.step()
	for y := 0.0; y <= c.top(); y += step {
		at := c.yAt(y)
		fmt.Fprintf(&b, `<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" stroke="#d0d7de"/>`+"\n", left, at, width-right, at)
		text(&b, left-8, at+4, "end", "#57606a", strconv.FormatFloat(y, 'g', -1, 64))
	}
	text(&b, left-8, top-10, "end", "#57606a", c.y)
	for i, x := range c.xs {
		text(&b, c.xAt(i), height-bottom+20, "middle", "#57606a", short(x))
	}
	for i := range c.values {
		c.line(&b, i)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// line draws a line with a dot at each value, and its name behind the last one.
func (c *chart) line(b *strings.Builder, i int) {
	colour := colours[i%len(colours)]
	var points []string
	for j, v := range c.values[i] {
		points = append(points, fmt.Sprintf("%.1f,%.1f", c.xAt(j), c.yAt(v)))
		fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`+"\n", c.xAt(j), c.yAt(v), colour)
	}
	fmt.Fprintf(b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.Join(points, " "), colour)
	text(b, width-right+10, c.labelAt(i), "start", colour, c.names[i])
}

// labelAt returns where the name of a line stands: beside its last value, and below the
// names of lines with larger values.
func (c *chart) labelAt(i int) float64 {
	const apart = 15
	last := func(i int) float64 { return c.values[i][len(c.values[i])-1] }
	at := c.yAt(last(i)) + 4
	for j := range c.values {
		if j != i && (last(j) > last(i) || last(j) == last(i) && j < i) {
			at = max(at, c.labelAt(j)+apart)
		}
	}
	return at
}

func (c *chart) xAt(i int) float64 {
	return left + float64(i)*float64(width-left-right)/float64(max(len(c.xs)-1, 1))
}

func (c *chart) yAt(v float64) float64 {
	return height - bottom - v/c.top()*float64(height-top-bottom)
}

// step is the distance of the lines of the grid: 1, 2 or 5 times a power of ten, so that
// there are four to nine of them.
func (c *chart) step() float64 {
	most := c.most()
	if most == 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(most)))
	for _, factor := range []float64{0.2, 0.5, 1} {
		if most/(factor*power) <= 6 {
			return factor * power
		}
	}
	return 2 * power
}

// top is the upper end of the y axis.
func (c *chart) top() float64 {
	step := c.step()
	return max(math.Ceil(c.most()/step), 1) * step
}

// most is the largest value.
func (c *chart) most() (most float64) {
	for _, values := range c.values {
		for _, v := range values {
			most = max(most, v)
		}
	}
	return most
}

// short returns a number as a person writes it: 10 k, 3 M.
func short(n int) string {
	switch {
	case n >= 1_000_000 && n%1_000_000 == 0:
		return strconv.Itoa(n/1_000_000) + " M"
	case n >= 1_000 && n%1_000 == 0:
		return strconv.Itoa(n/1_000) + " k"
	}
	return strconv.Itoa(n)
}

func text(b *strings.Builder, x, y float64, anchor, colour, s string) {
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="%s" fill="%s">%s</text>`+"\n", x, y, anchor, colour, html.EscapeString(s))
}
