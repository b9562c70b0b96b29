package conformance

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/millrace-streams/millrace/topologytest"
	"github.com/millrace-streams/millrace/windowstore"
)

// subject is the case with a difference, and what it did.
type subject struct {
	c *testCase
	o *observed
}

// rules report whether a difference is the departure with their name in departures.json.
var rules = map[string]func(s *subject, d difference) bool{
	"null-key-before-repartition":  nullKeyBeforeRepartition,
	"headers-beside-siblings":      headersBesideSiblings,
	"punctuators-due-together":     punctuatorsDueTogether,
	"old-of-new-window":            oldOfNewWindow,
	"order-in-memory-windows":      orderInMemoryWindows,
	"expired-puts":                 expiredPuts,
	"unlogged-puts":                unloggedPuts,
	"cached-windows":               cachedWindows,
	"small-cache":                  smallCacheOverflows,
	"order-of-cache":               orderOfCache,
	"ties-between-topics":          tiesBetweenTopics,
	"empty-dead-letter":            emptyDeadLetter,
	"invalid-utf8":                 invalidUTF8,
	"null-windowed-key":            nullWindowedKey,
	"policy-of-timestamps":         policyOfTimestamps,
	"windows-before-1970":          windowsBefore1970,
	"schedules-before-1970":        schedulesBefore1970,
	"end-of-time":                  endOfTime,
	"get-among-duplicates":         getAmongDuplicates,
	"deletions-among-duplicates":   deletionsAmongDuplicates,
	"windows-without-size":         windowsWithoutSize,
	"negative-timestamps-in-state": negativeTimestampsInState,
	"deletions-of-nothing":         deletionsOfNothing,
	"stream-and-table-of-a-topic":  streamAndTableOfATopic,
	"deletions-of-related-rows":    deletionsOfRelatedRows,
	"newest-version-last":          newestVersionLast,
	"forgotten-deletion":           forgottenDeletion,
	"buffer-has-times":             bufferHasTimes,
	"null-key-with-grace":          nullKeyWithGrace,
	"headers-of-sessions":          headersOfSessions,
	"deletions-of-no-session":      deletionsOfNoSession,
	"windows-kept":                 windowsKept,
	"results-in-time":              resultsInTime,
	"headers-of-changelogs":        headersOfChangelogs,
	"one-store-for-one-stream":     oneStoreForOneStream,
	"joins-within-no-time":         joinsWithinNoTime,
	"results-of-closed-windows":    resultsOfClosedWindows,
	"final-sessions":               finalSessions,
	"old-of-suppressed":            oldOfSuppressed,
	"merged-initials":              mergedInitials,
	"hidden-updates-of-the-past":   hiddenUpdatesOfThePast,
	"nothing-to-join":              nothingToJoin,
	"suppressed-versions":          suppressedVersions,
	"newest-rows":                  newestRows,
	"turned-ranges":                turnedRanges,
	"subtractions":                 subtractions,
	"stored-apart":                 describedBy("stored-apart"),
	"joins-of-streams":             describedBy("joins-of-streams"),
	"foreign-joins":                describedBy("foreign-joins"),
	"cogroups":                     describedBy("cogroups"),
	"globals-last":                 describedBy("globals-last"),
	"one-name":                     oneName,
	"repartitions-in-place":        repartitionsInPlace,
	"offsets-of-patterns":          offsetsOfPatterns,
	"timestamps-in-rows":           timestampsInRows,
	"own-changelogs":               ownChangelogs,
	"tables-keep-rows":             tablesKeepRows,
	"tables-are-read":              tablesAreRead,
	"changes-in-one-message":       changesInOneMessage,
}

// surplus is how many more records were dropped than in Kafka Streams.
func (s *subject) surplus() int64 {
	if s.c.DroppedRecords == nil {
		return 0
	}
	return s.o.dropped - *s.c.DroppedRecords
}

// nullKeyBeforeRepartition is exact: the surplus must equal the number of records without
// a key that reached a repartition topic.
func nullKeyBeforeRepartition(s *subject, _ difference) bool {
	n := *s.o.built.nullKeys
	return n > 0 && s.surplus() == n
}

// expiredPuts applies only to window stores, and to those of joins. The surplus also
// includes null keys before repartition topics.
func expiredPuts(s *subject, _ difference) bool {
	more := s.surplus() - *s.o.built.nullKeys
	late := s.o.reasons[windowstore.ExpiredReason]
	if joinsStreams(s.c) {
		late += s.o.reasons["late record"]
	}
	return more > 0 && more <= late
}

// headersBesideSiblings applies to processors that change the headers of a record which
// other nodes get later: a node on the record's path has several children.
func headersBesideSiblings(s *subject, _ difference) bool {
	children := map[string]int{}
	byID := map[string]op{}
	for _, o := range s.c.Topology {
		byID[cmp.Or(o.text("id"), o.text("name"))] = o
		for _, parent := range append(o.texts("from"), o.texts("with")...) {
			children[parent]++
		}
	}
	var branches func(o op) bool
	branches = func(o op) bool {
		return slices.ContainsFunc(append(o.texts("from"), o.texts("with")...), func(parent string) bool {
			return children[parent] > 1 || branches(byID[parent])
		})
	}
	return slices.ContainsFunc(s.c.Topology, func(o op) bool {
		kind := o.child("processor").text("kind")
		return (strings.HasPrefix(kind, "header-") || kind == "forward-twice") && branches(o)
	})
}

// punctuatorsDueTogether allows the records of a step in another order, if several
// punctuators were called in it. From that step on, it also allows other results of
// aggregations of these records.
func punctuatorsDueTogether(s *subject, d difference) bool {
	first := slices.IndexFunc(s.o.steps, func(step observedStep) bool { return step.punctuations > 1 })
	if first < 0 || d.step > 0 && d.step <= first {
		return false
	}
	return sameSet(d.want, d.got) && d.step > 0 || folds(s.c)
}

func folds(c *testCase) bool {
	return slices.ContainsFunc(c.Topology, func(o op) bool {
		name := o.text("op")
		return name == "reduce" || name == "aggregate" || name == "count" || len(o.texts("stores")) > 0
	})
}

// oldOfNewWindow allows an update of a grouped windowed table that only adds a value,
// where Kafka Streams also takes one away.
func oldOfNewWindow(s *subject, d difference) bool {
	return hasOp(s.c, "windowedBy") && addsOnly(d) || initialOfBuffered(s, d)
}

// addsOnly reports whether the updates of a repartition topic only add the values that
// they should put in the place of others.
func addsOnly(d difference) bool {
	return strings.HasSuffix(d.topic, "-repartition") && pairwise(d, onlyAdds)
}

// onlyAdds reports whether an update adds the value that it should put in the place of
// another one.
func onlyAdds(w wanted, g topologytest.Record) bool {
	added, ok := bytes.CutSuffix(g.Value, []byte{1})
	both := append(binary.AppendVarint(nil, int64(len(added))), added...)
	return ok && bytes.Equal(w.key, g.Key) && bytes.HasPrefix(w.value, both) && bytes.HasSuffix(w.value, []byte{2})
}

// orderInMemoryWindows allows the rows in the result of a store command in another order.
func orderInMemoryWindows(s *subject, d difference) bool {
	const oneSegment = 60_000 // ms; Kafka Streams sorts the rows of several by segment
	apart := func(o op) bool { return o.flag("inMemory") || o.has("segment") || o.ms("retention") > oneSegment }
	return s.hasWindows(apart) && pairwise(d, func(w wanted, g topologytest.Record) bool {
		return bytes.Equal(w.key, g.Key) && slices.Equal(slices.Sorted(rowsIn(w.value)), slices.Sorted(rowsIn(g.Value)))
	})
}

// cachedWindows allows rows to be missing, in a store and in the result of a store
// command.
func cachedWindows(s *subject, d difference) bool {
	cached := hasOp(s.c, "windowedBy") || s.hasWindows(func(o op) bool { return o.flag("caching") })
	if cacheBytes(s.c) == 0 || !cached {
		return false
	}
	if d.aspect == inStores {
		return isSubset(d.gotRows, d.wantRows)
	}
	return pairwise(d, func(w wanted, g topologytest.Record) bool {
		got := slices.Collect(rowsIn(g.Value))
		return bytes.Equal(w.key, g.Key) && (string(g.Value) == "null" || isSubset(got, slices.Collect(rowsIn(w.value))))
	})
}

// smallCache is a size of Kafka Streams' record cache, in bytes. The records of a case
// may overflow a smaller cache.
const smallCache = 10000

func smallCacheOverflows(s *subject, d difference) bool {
	return cacheBytes(s.c) > 0 && cacheBytes(s.c) < smallCache && isPart(d.want, d.got)
}

// orderOfCache allows the updates caused by one record in another order.
func orderOfCache(s *subject, d difference) bool {
	return cacheBytes(s.c) > 0 && sameSet(d.want, d.got)
}

// tiesBetweenTopics applies to records with the same timestamp in three or more topics.
// Their results may come in another order. If one of the records fails, some of the
// results may be missing.
func tiesBetweenTopics(s *subject, d difference) bool {
	n := 0
	for _, topic := range s.c.InternalTopics {
		if strings.HasSuffix(topic, "-repartition") {
			n++
		}
	}
	st := s.step(d)
	if st == nil || n < 3 {
		return false
	}
	return sameSet(d.want, d.got) || st.Error != nil && (isPart(d.want, d.got) || len(d.want) == 0)
}

// emptyDeadLetter allows content in a dead letter that is empty in Kafka Streams.
func emptyDeadLetter(s *subject, d difference) bool {
	return d.topic == deadLetterTopic(s.c) && pairwise(d, func(w wanted, g topologytest.Record) bool {
		return sameRecord(w, g) || w.key == nil && w.value == nil
	})
}

// invalidUTF8 allows bytes that are not UTF-8 where Kafka Streams has replaced them.
func invalidUTF8(s *subject, d difference) bool {
	return slices.ContainsFunc(s.c.Steps, func(st step) bool { return isInvalidText(st.Key) || isInvalidText(st.Value) }) &&
		pairwise(d, func(w wanted, g topologytest.Record) bool {
			return bytes.Equal(replaced(w.key), replaced(g.Key)) && bytes.Equal(replaced(w.value), replaced(g.Value))
		})
}

func isInvalidText(text json.RawMessage) bool {
	if isNull(text) {
		return false
	}
	data, ok := hexOf(text)
	return ok && !utf8.Valid(data)
}

// replaced replaces each run of invalid bytes and replacement characters with one
// replacement character.
func replaced(data []byte) []byte {
	return bytes.ToValidUTF8(bytes.ReplaceAll(data, []byte("\uFFFD"), []byte{0xff}), []byte("\uFFFD"))
}

// nullWindowedKey allows a record without a key where Kafka Streams dereferences the
// windowed key.
func nullWindowedKey(s *subject, d difference) bool {
	st := s.step(d)
	return st != nil && strings.HasPrefix(s.c.Topics[st.Pipe].Key, "time-windowed:") && isNull(st.Key) &&
		strings.HasSuffix(st.Error["rootClass"], ".NullPointerException")
}

// policyOfTimestamps allows a record with an invalid timestamp to be skipped, where Kafka
// Streams fails.
func policyOfTimestamps(s *subject, d difference) bool {
	st := s.step(d)
	if st == nil || st.Error == nil || s.c.Config["deserialization.exception.handler"] != "continue" {
		return false
	}
	return st.TS < 0 || slices.ContainsFunc(s.c.Topology, func(o op) bool { return o.has("extractor") && contains(o, st.Pipe) })
}

// windowsBefore1970 allows any difference from the first put of such a window on, because
// the put is refused.
func windowsBefore1970(s *subject, d difference) bool { return s.behindNegativePut(d, "window") }

// negativeTimestampsInState allows any difference from the first put of such a row on,
// because the put is refused.
func negativeTimestampsInState(s *subject, d difference) bool {
	return s.behindNegativePut(d, "timestamped-kv")
}

// behindNegativePut reports whether a difference occurs at or after the first command
// that puts a row with a negative time into a kind of store.
func (s *subject) behindNegativePut(d difference, kind string) bool {
	first := slices.IndexFunc(s.c.Steps, func(st step) bool {
		words := commandOf(&st)
		at, err := strconv.ParseInt(words[len(words)-1], 10, 64)
		return words[0] == "put" && err == nil && at < 0
	})
	commands := slices.ContainsFunc(s.c.Topology, func(o op) bool { return o.child("processor").text("store") == kind })
	return commands && first >= 0 && (d.step == 0 || d.step > first)
}

func schedulesBefore1970(s *subject, _ difference) bool {
	return slices.ContainsFunc(s.c.Topology, func(o op) bool {
		return slices.ContainsFunc(o.child("processor").children("schedules"), func(o op) bool { return o.ms("startTime") < 0 })
	})
}

// endOfTime allows a record whose window ends after the largest timestamp.
func endOfTime(s *subject, d difference) bool {
	st := s.step(d)
	return st != nil && st.Error != nil && slices.ContainsFunc(s.c.Topology, func(o op) bool { return st.TS > math.MaxInt64-o.child("window").ms("size") })
}

func getAmongDuplicates(s *subject, d difference) bool {
	st := s.step(d)
	return st != nil && commandOf(st)[0] == "get" && s.hasWindows(func(o op) bool { return o.flag("retainDuplicates") })
}

// deletionsAmongDuplicates allows differences that arise when the time of an in-memory
// store advances, from the first deletion on. In the stores of a join, a record without a
// value is one.
func deletionsAmongDuplicates(s *subject, d difference) bool {
	first := slices.IndexFunc(s.c.Steps, func(st step) bool {
		words := commandOf(&st)
		return words[0] == "put" && len(words) > 2 && words[2] == "~" || joinsStreams(s.c) && isNull(st.Value)
	})
	here := s.hasWindows(func(o op) bool { return o.flag("inMemory") && o.flag("retainDuplicates") })
	joined := slices.ContainsFunc(s.c.Topology, func(o op) bool { return o.text("storeType") == "in-memory" })
	return (here || joined) && first >= 0 && (d.step == 0 || d.step > first)
}

func windowsWithoutSize(s *subject, _ difference) bool {
	sliding := slices.ContainsFunc(s.c.Topology, func(o op) bool {
		w := o.child("window")
		return w.text("type") == "sliding" && w.ms("diff") == 0
	})
	return s.o.buildErr != nil && (sliding || s.hasWindows(func(o op) bool { return o.ms("windowSize") == 0 }))
}

// rowsIn yields the rows in the result of a store command.
func rowsIn(value []byte) iter.Seq[string] {
	return strings.SplitSeq(strings.Trim(string(value), "[]"), ",")
}

// isSubset reports whether all rows are among others.
func isSubset(rows, others []string) bool {
	return !slices.ContainsFunc(rows, func(row string) bool { return row != "" && !slices.Contains(others, row) })
}

// step returns the step of a difference, or nil if it was found at the end.
func (s *subject) step(d difference) *step {
	if d.step == 0 {
		return nil
	}
	return &s.c.Steps[d.step-1]
}

// commandOf returns the words of a store command.
func commandOf(st *step) []string {
	var text string
	if json.Unmarshal(st.Value, &text) != nil {
		return []string{""}
	}
	return strings.Split(text, " ")
}

// hasWindows reports whether the case adds a window store that satisfies is.
func (s *subject) hasWindows(is func(o op) bool) bool {
	return slices.ContainsFunc(s.c.Topology, func(o op) bool {
		name := o.text("op")
		return (name == "addStore" || name == "store") && isWindow(o.text("type")) && is(o)
	})
}

func hasOp(c *testCase, name string) bool {
	return slices.ContainsFunc(c.Topology, func(o op) bool { return o.text("op") == name })
}

// contains reports whether a source reads a topic.
func contains(o op, topic string) bool {
	return slices.Contains(append(o.texts("topic"), o.texts("topics")...), topic)
}

// pairwise reports whether there are as many wanted records as actual ones, and each pair
// satisfies is.
func pairwise(d difference, is func(w wanted, g topologytest.Record) bool) bool {
	if len(d.want) != len(d.got) || len(d.got) == 0 {
		return false
	}
	for i, w := range d.want {
		if !is(w, d.got[i]) {
			return false
		}
	}
	return true
}

// deletionsOfNothing allows deletions to be missing behind a filter, if no result with
// the key is there that they would delete.
func deletionsOfNothing(s *subject, d difference) bool {
	if !hasOp(s.c, "filter") && !hasOp(s.c, "filterNot") || d.step == 0 {
		return false
	}
	if d.aspect == inInternal && !strings.HasSuffix(d.topic, "-changelog") {
		return false
	}
	there := map[string]bool{}
	for _, before := range s.o.steps[:d.step-1] {
		for _, r := range before.topics[d.topic] {
			there[string(r.Key)] = r.Value != nil
		}
	}
	got := d.got
	for _, w := range d.want {
		switch {
		case len(got) > 0 && sameRecord(w, got[0]):
			there[string(w.key)] = w.value != nil
			got = got[1:]
		case w.value != nil || there[string(w.key)]:
			return false
		}
	}
	return len(got) == 0
}

// streamAndTableOfATopic applies to cases that read a topic both ways.
func streamAndTableOfATopic(s *subject, _ difference) bool {
	return slices.ContainsFunc(s.c.Topology, func(t op) bool {
		return t.text("op") == "table" && slices.ContainsFunc(s.c.Topology, func(o op) bool {
			return o.text("op") == "stream" && contains(o, t.text("topic"))
		})
	})
}

// deletionsOfRelatedRows allows more deletions in the results of a table that is joined
// with itself, or with a table that was made of it.
func deletionsOfRelatedRows(s *subject, d difference) bool {
	if d.aspect == inInternal && !strings.HasSuffix(d.topic, "-changelog") {
		return false
	}
	tables := 0
	for _, o := range s.c.Topology {
		if o.text("op") == "table" {
			tables++
		}
	}
	related := hasOp(s.c, "join") && tables == 1
	if d.aspect == inStores {
		return related && isSubset(d.gotRows, d.wantRows)
	}
	return related && len(d.got) > len(d.want) && sameSet(keptWanted(d.want), kept(d.got))
}

// hiddenUpdatesOfThePast allows fewer dropped records behind a filter of a table with
// versions: at most those that came behind a later version.
func hiddenUpdatesOfThePast(s *subject, _ difference) bool {
	if !hasOp(s.c, "filter") && !hasOp(s.c, "filterNot") {
		return false
	}
	newest, late := map[string]int64{}, int64(0)
	for _, st := range s.c.Steps {
		if isNull(st.Key) || !s.keepsVersions(st.Pipe) {
			continue
		}
		key := st.Pipe + string(st.Key)
		if last, known := newest[key]; known && st.TS < last {
			late++
		} else {
			newest[key] = st.TS
		}
	}
	return s.surplus() < 0 && -s.surplus() <= late
}

// nothingToJoin allows records without key and value to be missing in front of a join.
func nothingToJoin(s *subject, d difference) bool {
	if !strings.HasSuffix(d.topic, "-repartition") || !hasOp(s.c, "join") {
		return false
	}
	return slices.EqualFunc(slices.DeleteFunc(slices.Clone(d.want), func(w wanted) bool { return w.key == nil && w.value == nil }), d.got, sameRecord)
}

// kept and keptWanted leave the deletions out.
func kept(got []topologytest.Record) []topologytest.Record {
	return slices.DeleteFunc(slices.Clone(got), func(r topologytest.Record) bool { return r.Value == nil })
}

func keptWanted(want []wanted) []wanted {
	return slices.DeleteFunc(slices.Clone(want), func(w wanted) bool { return w.value == nil })
}

// joinsStreams reports whether the case joins streams.
func joinsStreams(c *testCase) bool {
	return slices.ContainsFunc(c.Topology, func(o op) bool { return o.text("op") == "join" && o.has("window") })
}

// headersOfChangelogs allows the changelog of a join's store to have no headers, and any
// changelog if the rows have headers in Kafka Streams.
func headersOfChangelogs(s *subject, d difference) bool {
	foreign := strings.HasSuffix(d.topic, "-subscription-store-changelog")
	return (foreign || op(s.c.Config).text(storeFormat) == "HEADERS" || joinsStreams(s.c)) && strings.HasPrefix(d.topic, applicationID+"-") && strings.HasSuffix(d.topic, "-changelog")
}

// oneStoreForOneStream allows the second store of a stream that is joined with itself to
// be missing, and the store of the records that wait for a partner. A record that cannot
// be joined is then dropped once. Kafka Streams drops it twice, or a late one once or
// twice.
func oneStoreForOneStream(s *subject, d difference) bool {
	if d.aspect == inDescribe {
		return d.liberty == "one-store-for-one-stream"
	}
	self := slices.ContainsFunc(s.c.Topology, func(o op) bool {
		return o.text("op") == "join" && o.has("window") && o.text("from") == o.text("with")
	})
	if self && optimizes(s.c, singleStore) && s.alone(d) {
		return true
	}
	if d.aspect == inDropped {
		nulls, late := s.o.reasons["null key"]+s.o.reasons["null value"], s.o.reasons["late record"]
		twice := -s.surplus()
		return self && twice >= nulls-late && twice <= nulls+late
	}
	name := strings.TrimSuffix(d.topic, "-changelog") + d.store
	return self && len(d.got)+len(d.gotRows) == 0 && (strings.HasSuffix(name, "-right") || strings.HasSuffix(name, "-unmatched"))
}

// alone allows more results of records without a partner, in the step that sends the
// record, and fewer dropped records: those without a key.
func (s *subject) alone(d difference) bool {
	st := s.step(d)
	if st == nil {
		return d.aspect == inDropped && s.surplus() < 0 && slices.ContainsFunc(s.c.Steps, func(st step) bool { return isNull(st.Key) })
	}
	if d.aspect != inOut || len(d.got) <= len(d.want) {
		return false
	}
	serdes := must(serdesOf(s.c, st.Pipe))
	got := slices.DeleteFunc(slices.Clone(d.got), func(r topologytest.Record) bool {
		one := int64(r.Timestamp) == st.TS && equalBytes(r.Key, must(serdes.key.encodeJSON(st.Key)))
		return one && slices.Contains([]string{"+null", "null+"}, strings.Replace(string(r.Value), string(must(serdes.value.encodeJSON(st.Value))), "", 1))
	})
	return slices.EqualFunc(d.want, got, sameRecord)
}

// joinsWithinNoTime allows joins of records with equal timestamps to be refused.
func joinsWithinNoTime(s *subject, _ difference) bool {
	return s.o.buildErr != nil && slices.ContainsFunc(s.c.Topology, func(o op) bool {
		var j streamsJoin
		return o.text("op") == "join" && o.has("window") && j.readWindow(o.child("window")) == nil && j.size <= 0
	})
}
