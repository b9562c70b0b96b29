package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
)

// grammar maps the name of a section to its alternatives. The top of text/common.txt
// describes the format of the files.
type grammar map[string][]string

func parseGrammar(file, text string) (grammar, error) {
	g := grammar{}
	section := ""
	for i, line := range strings.Split(text, "\n") {
		switch {
		case strings.TrimSpace(line) == "" || strings.HasPrefix(line, ";"):
		case strings.HasPrefix(line, "= "):
			section = strings.TrimSpace(line[2:])
			if _, ok := g[section]; ok {
				return nil, fmt.Errorf("%s:%d: section %q for the second time", file, i+1, section)
			}
			g[section] = nil
		case section == "":
			return nil, fmt.Errorf("%s:%d: text before the first section", file, i+1)
		default:
			for _, alternative := range strings.Split(line, " | ") {
				weight, text := cutWeight(alternative)
				for range weight {
					g[section] = append(g[section], text)
				}
			}
		}
	}
	return g, nil
}

// cutWeight removes the leading "N* " from an alternative.
func cutWeight(alternative string) (int, string) {
	if digits, rest, ok := strings.Cut(alternative, "* "); ok {
		if n, err := strconv.Atoi(digits); err == nil {
			return n, rest
		}
	}
	return 1, alternative
}

// extend returns a grammar with the sections of both. If both have a section, the one of
// g is used.
func (g grammar) extend(base grammar) grammar {
	all := grammar{}
	for name, alternatives := range base {
		all[name] = alternatives
	}
	for name, alternatives := range g {
		all[name] = alternatives
	}
	return all
}

// check returns an error for a section without alternatives, and for a name in braces
// that is neither a section nor a builtin. After a successful check, expand cannot fail.
func (g grammar) check(builtins map[string]func(*language) string) error {
	for section, alternatives := range g {
		if len(alternatives) == 0 {
			return fmt.Errorf("section %q is empty", section)
		}
		for _, text := range alternatives {
			for _, name := range slots(text) {
				if g[name] == nil && builtins[name] == nil {
					return fmt.Errorf("section %q: nothing is called %q in %q", section, name, text)
				}
			}
		}
	}
	return nil
}

// checkTopics returns an error for a topic that lacks a section needed to compose a
// tweet.
func (g grammar) checkTopics() error {
	for _, topic := range g["topics"] {
		for _, kind := range []string{"tweet.", "tags.", "links."} {
			if g[kind+topic] == nil {
				return fmt.Errorf("topic %q has no section %q", topic, kind+topic)
			}
		}
	}
	return nil
}

// slots returns the names in braces.
func slots(text string) []string {
	var names []string
	for {
		_, after, ok := strings.Cut(text, "{")
		if !ok {
			return names
		}
		name, rest, _ := strings.Cut(after, "}")
		names = append(names, name)
		text = rest
	}
}

// pick prefers the first alternatives, because the words of a language are not equally
// frequent either.
func pick[T any](r *rand.Rand, from []T) T {
	return from[int(math.Pow(r.Float64(), 1.3)*float64(len(from)))]
}

// evenly selects each alternative with the same probability.
func evenly[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }
