package batch

// maxName leaves room for what is appended to names.
const maxName = 220

// checkNames reports names that are missing, too long or used twice.
func (p *plan) checkNames() {
	taken := p.checkEverys()
	for _, h := range p.headers {
		name := h.fullName()
		switch by := taken[name]; {
		case name == "":
			h.e.problem("%s on %q: needs a name, which names its store and topics", h.op, h.e.name)
		case len(name) > maxName:
			h.e.problem("%s %q: the name must be at most %d characters long", h.op, name, maxName)
		case by == nil:
			taken[name] = h
		case h.parent == nil && by.parent == nil:
			h.e.problem("the name %q is used by %s and by %s: give one of them another name", name, by.op, h.op)
		default:
			h.e.problem("the name %q is used by %s and by %s: give one of them another name with .Named(...)", name, by.op, h.op)
		}
	}
}

// checkEverys reports names of Every that are missing or used twice. It returns the names
// that are taken.
func (p *plan) checkEverys() map[string]*header {
	taken := make(map[string]*header)
	for _, e := range p.everys {
		switch {
		case e.name == "":
			e.problem("Every: needs a name, which names its topic and its store")
		case taken[e.name] != nil:
			e.problem("the name %q is used by Every and by Every: give one of them another name, or use the result of the first one twice", e.name)
		default:
			taken[e.name] = &header{e: e, op: "Every", name: e.name}
		}
	}
	return taken
}
