package integration

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// purchase is an order, as the program everything reads it.
type purchase struct {
	ID   string `json:"id"`
	Item string `json:"item"`
	N    int64  `json:"n"`
	user string
	at   int64 // ms
}

// change is a new row of a table; an empty value deletes the row. Clicks are changes too:
// of the page that a user looks at.
type change struct {
	key, value string
	at         int64 // ms
}

// history is all the input of the program everything, in the order of its production.
type history struct {
	orders                                 []purchase
	clicks, users, accounts, tickets, tier []change
	prices, regions, ratings               []change
}

// results is what the program sends in the end: the last value of each row, without those
// that are deleted, and how often each event comes.
type results struct {
	rows   map[string]string
	events map[string]int
}

// eventOperators send events. The results of the others are rows.
var eventOperators = []string{
	"tumbling-closed", "hopping-closed", "session-closed", "cogroup-closed",
	"pair", "left-pair", "outer-pair", "self-pair", "priced", "tier", "region", "region-left", "rated",
}

func newResults() *results { return &results{rows: map[string]string{}, events: map[string]int{}} }

// add adds a result as it is in the topic.
func (r *results) add(key, value string) {
	operator, _, _ := strings.Cut(key, " ")
	switch {
	case slices.Contains(eventOperators, operator):
		r.events[key+" "+value]++
	case value == "" || value == "0":
		delete(r.rows, key)
	default:
		r.rows[key] = value
	}
}

// equal returns the differences to the results that must come exactly once.
func (r *results) equal(want *results) []string {
	return append(differences(r.rows, want.rows), differences(r.events, want.events)...)
}

// What processing a record twice does to the results of an operator. Those that are not
// here send the same row or event again.
var (
	// addingOperators add its value twice.
	addingOperators = []string{
		"count", "sum", "calm", "cogroup", "merged", "processed", "visited", "clicked", "forever", "tumbling", "hopping", "sliding", "session",
		"cogroup-tumbling", "cogroup-session", "tumbling-closed", "hopping-closed", "session-closed", "cogroup-closed",
	}
	// subtractingOperators may also subtract twice.
	subtractingOperators = []string{"residents", "wealth", "windows"}
)

// atLeast returns the differences to results that may come, and count records, more than
// once.
func (r *results) atLeast(want *results) (all []string) {
	got, least := r.greatest(), want.greatest()
	for key, n := range least {
		if got[key] < n {
			all = append(all, fmt.Sprintf("%s: %d, want at least %d", key, got[key], n))
		}
	}
	for key, n := range got {
		if _, ok := least[key]; !ok && !partOfSession(key, least) {
			all = append(all, fmt.Sprintf("%s: %d, want none", key, n))
		}
	}
	other := func(key string) bool {
		operator, _, _ := strings.Cut(key, " ")
		return !slices.Contains(addingOperators, operator) && !slices.Contains(subtractingOperators, operator)
	}
	return append(all, differences(only(r.rows, other), only(want.rows, other))...)
}

// partOfSession reports whether a row is a session that is a part of a longer one. It may
// stay in the topic: if it was sent right before a kill, and the repeated records are
// joined to the longer session within one commit, nothing says that it was ever sent.
func partOfSession(key string, all map[string]int64) bool {
	parse := func(key string) (operator, user string, start, end int64, ok bool) {
		n, _ := fmt.Sscan(key, &operator, &user, &start, &end)
		return operator, user, start, end, n == 4 && slices.Contains([]string{"session", "cogroup-session"}, operator)
	}
	operator, user, start, end, ok := parse(key)
	if !ok {
		return false
	}
	for other := range all {
		o, u, from, to, ok := parse(other)
		if ok && o == operator && u == user && from <= start && end <= to {
			return true
		}
	}
	return false
}

// greatest returns the greatest value of each key of the operators that add, and 1 for
// each event of the others.
func (r *results) greatest() map[string]int64 {
	all := map[string]int64{}
	add := func(key, value string) {
		operator, _, _ := strings.Cut(key, " ")
		if slices.Contains(addingOperators, operator) {
			var n int64
			fmt.Sscan(value, &n)
			all[key] = max(all[key], n)
		}
	}
	for key, value := range r.rows {
		add(key, value)
	}
	for event := range r.events {
		operator, _, _ := strings.Cut(event, " ")
		if !slices.Contains(addingOperators, operator) {
			all[event] = 1
		} else if i := strings.LastIndexByte(event, ' '); i >= 0 {
			add(event[:i], event[i+1:])
		}
	}
	return all
}

// only returns the elements whose keys are wanted.
func only(m map[string]string, wanted func(key string) bool) map[string]string {
	part := map[string]string{}
	for key, value := range m {
		if wanted(key) {
			part[key] = value
		}
	}
	return part
}

// model computes the results from all records at once. It shares nothing with Millrace.
func (h *history) model() *results {
	r := newResults()
	h.modelStreams(r)
	h.modelWindows(r)
	h.modelTables(r)
	h.modelForeign(r)
	h.modelPairs(r)
	h.modelLookups(r)
	return r
}

// tally is sums by key.
type tally map[string]int64

func (t tally) addTo(r *results, operator string) {
	for key, n := range t {
		r.add(operator+" "+key, fmt.Sprint(n))
	}
}

func (h *history) modelStreams(r *results) {
	counts, sums, both, parts, processed := tally{}, tally{}, tally{}, tally{}, tally{}
	for _, o := range h.orders {
		counts[o.user]++
		sums[o.Item] += o.N
		both[o.user] += o.N
		processed[o.user] += o.N
		processed[fmt.Sprint(o.user, " ", o.at-o.at%1000)]++
	}
	longest, clicked, dated, visited := map[string]string{}, tally{}, tally{}, tally{}
	for _, c := range h.clicks {
		clicked[c.key]++
		dated[c.key] = max(dated[c.key], c.at)
		visited[fmt.Sprint(c.key, " ", c.at-c.at%1000)]++
		both[c.key] += 1000
		parts[c.key] += int64(strings.Count(c.value, "/")) + 1
		longest[c.key] = max(longest[c.key], c.value)
		r.add("last-click "+c.key, c.value)
	}
	for user, page := range longest {
		r.add("longest "+user, page)
	}
	counts.addTo(r, "count")
	sums.addTo(r, "sum")
	sums.addTo(r, "calm")
	both.addTo(r, "cogroup")
	parts.addTo(r, "merged")
	processed.addTo(r, "processed")
	clicked.addTo(r, "clicked")
	dated.addTo(r, "dated")
	visited.addTo(r, "visited")
}

// point is a record of a user for the windows: an order or a click.
type point struct {
	at, n int64
	click bool
}

func (p point) both() int64 {
	if p.click {
		return 1000
	}
	return p.n
}

func (h *history) modelWindows(r *results) {
	points := map[string][]point{}
	for _, o := range h.orders {
		points[o.user] = append(points[o.user], point{at: o.at, n: o.N})
	}
	for _, c := range h.clicks {
		points[c.key] = append(points[c.key], point{at: c.at, click: true})
	}
	for user, both := range points {
		slices.SortStableFunc(both, func(a, b point) int { return int(a.at - b.at) })
		orders := slices.DeleteFunc(slices.Clone(both), func(p point) bool { return p.click })
		one := func(point) int64 { return 1 }
		tumbling := aligned(user, orders, 1000, one)
		hopping := aligned(user, orders, 400, func(p point) int64 { return p.n })
		sessions := sessionsOf(user, orders, one)
		tumbling.addTo(r, "tumbling")
		tumbling.addTo(r, "tumbling-closed")
		hopping.addTo(r, "hopping")
		hopping.addTo(r, "hopping-closed")
		sessions.addTo(r, "session")
		sessions.addTo(r, "session-closed")
		aligned(user, both, 1000, point.both).addTo(r, "cogroup-tumbling")
		aligned(user, both, 400, point.both).addTo(r, "cogroup-closed")
		sessionsOf(user, both, point.both).addTo(r, "cogroup-session")
		tally{user: int64(len(tumbling))}.addTo(r, "windows")
		tally{fmt.Sprint(user, " 0 ", int64(math.MaxInt64)): int64(len(orders))}.addTo(r, "forever")
		var times []int64
		for _, o := range orders {
			times = append(times, o.at)
		}
		modelSliding(r.rows, user, times)
	}
}

// aligned adds up the points in the windows of a second that begin at the multiples of
// every.
func aligned(user string, points []point, every int64, value func(point) int64) tally {
	const size = 1000
	t := tally{}
	for _, p := range points {
		for start := p.at - p.at%every; start > p.at-size; start -= every {
			t[fmt.Sprintf("%s %d %d", user, start, start+size)] += value(p)
		}
	}
	return t
}

// sessionsOf adds up the points of each session; the points are in order.
func sessionsOf(user string, points []point, value func(point) int64) tally {
	t := tally{}
	for first := 0; first < len(points); {
		last, sum := first, value(points[first])
		for last+1 < len(points) && points[last+1].at-points[last].at <= modelGap {
			last++
			sum += value(points[last])
		}
		t[fmt.Sprintf("%s %d %d", user, points[first].at, points[last].at)] = sum
		first = last + 1
	}
	return t
}

// table returns the last row of each key.
func table(changes []change) map[string]string {
	rows := map[string]string{}
	for _, c := range changes {
		if rows[c.key] = c.value; c.value == "" {
			delete(rows, c.key)
		}
	}
	return rows
}

func (h *history) modelTables(r *results) {
	users, accounts := table(h.users), table(h.accounts)
	residents, wealth := tally{}, tally{}
	for user, city := range users {
		residents[city]++
		r.add("kept "+user, city)
		r.add("tagged "+user, "tag of "+city)
		if len(city) > 4 {
			r.add("long "+user, strings.ToUpper(city))
		}
		balance, ok := accounts[user]
		if ok {
			var n int64
			fmt.Sscan(balance, &n)
			wealth[city] += n
			r.add("home "+user, city+"/"+balance)
		} else {
			balance = "0"
		}
		r.add("home-left "+user, city+"/"+balance)
		r.add("home-outer "+user, city+"/"+balance)
	}
	for user, balance := range accounts {
		if _, ok := users[user]; !ok {
			r.add("home-outer "+user, "/"+balance)
		}
	}
	residents.addTo(r, "residents")
	wealth.addTo(r, "wealth")
}

func (h *history) modelForeign(r *results) {
	users := table(h.users)
	for key, ticket := range table(h.tickets) {
		user, _, has := strings.Cut(ticket, "/")
		city, known := users[user]
		if has && known {
			r.add("owned "+key, ticket+" in "+city)
		} else {
			city = ""
		}
		r.add("owned-left "+key, ticket+" in "+city)
	}
}

func (h *history) modelPairs(r *results) {
	clicked := map[string]bool{} // clicks with an order, by their page, which is unique
	for _, o := range h.orders {
		alone := true
		for _, c := range h.clicks {
			if c.key == o.user && max(c.at-o.at, o.at-c.at) <= modelWithin {
				alone, clicked[c.value] = false, true
				for _, operator := range []string{"pair", "left-pair", "outer-pair"} {
					r.add(operator+" "+o.user, o.ID+"+"+c.value)
				}
			}
		}
		if alone {
			r.add("left-pair "+o.user, o.ID+"+")
			r.add("outer-pair "+o.user, o.ID+"+")
		}
		for _, later := range h.orders {
			if later.user == o.user && later.at >= o.at && later.at-o.at <= modelWithin {
				r.add("self-pair "+o.user, o.ID+"+"+later.ID)
			}
		}
	}
	for _, c := range h.clicks {
		if !clicked[c.value] {
			r.add("outer-pair "+c.key, "+"+c.value)
		}
	}
}

func (h *history) modelLookups(r *results) {
	tiers, regions, ratings := table(h.tier), table(h.regions), tally{}
	for _, c := range h.ratings {
		ratings[c.key]++
	}
	for _, o := range h.orders {
		r.add("priced "+o.user, o.ID+" at "+h.priceOf(o))
		if tier, ok := tiers[o.user]; ok {
			r.add("tier "+o.user, o.ID+" "+tier)
		}
		region, ok := regions[o.Item]
		if ok {
			r.add("region "+o.user, o.ID+" "+region)
		}
		r.add("region-left "+o.user, o.ID+" "+region)
		if n, ok := ratings[o.Item]; ok {
			r.add("rated "+o.user, fmt.Sprint(o.ID, " ", n))
		}
	}
}

// priceOf returns the price that was valid at the time of the order. Of two versions of
// one time, the later record is the valid one.
func (h *history) priceOf(o purchase) (price string) {
	latest := int64(-1)
	for _, p := range h.prices {
		if p.key == o.user && p.at <= o.at && p.at >= latest {
			latest, price = p.at, p.value
		}
	}
	return price
}
