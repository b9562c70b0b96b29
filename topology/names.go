package topology

import (
	"fmt"
	"strconv"
)

// names maps each name that is taken in a topology to the operator that took it.
type names map[string]string

// derive returns the name, or the name followed by a number if it is taken. The number
// may change when an operator is inserted. This is harmless, because only operators
// without state have derived names.
func (t names) derive(name string) string {
	for i, free := 2, name; ; i++ {
		if _, taken := t[free]; !taken {
			t[free] = ""
			return free
		}
		free = name + "-" + strconv.Itoa(i)
	}
}

// release makes a derived name available again.
func (t names) release(name string) { delete(t, name) }

// checkName reports a name that the user chose and that is illegal or taken.
func (b *Builder) checkName(op, name string) {
	if err := checkTopicName(name); err != nil {
		b.problem("%s %q: bad name: %v", op, name, err)
		return
	}
	if by, taken := b.names[name]; taken && by != "" {
		b.problem("the name %q is used by a %s and by a %s, but names of operators must be unique: give one of them another name", name, by, op)
		return
	}
	b.names[name] = op
}

// checkTopicName returns why a string is no legal name of a topic, or of an operator that
// a topic is named after.
func checkTopicName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("it is empty")
	case name == "." || name == "..":
		return fmt.Errorf("%q is a name that Kafka refuses", name)
	case len(name) > 249:
		return fmt.Errorf("it is longer than 249 characters")
	}
	for _, c := range name {
		legal := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-'
		if !legal {
			return fmt.Errorf("%q is not allowed: use letters, digits, dots, underscores and hyphens", c)
		}
	}
	return nil
}

// claim takes a name for an operator that may have no node with that name.
func (b *Builder) claim(op, name, namesWhat string) {
	b.begin()
	if name == "" {
		b.problem("%s: needs a name, which names %s", op, namesWhat)
		return
	}
	b.checkName(op, name)
}
