package storetest

import "github.com/millrace-streams/millrace/processor"

// Context returns the context of a processor that opens a store, whose instance it is
// given. Dropped records are counted.
func Context(instance processor.Store, dropped *int) processor.Context[string, string] {
	return processor.NewContext[string, string](host{instance: instance, dropped: dropped})
}

// anyHost has another name than its method Context, so that it can be embedded.
type anyHost = processor.Host[string, string]

// host is the part of a processor's host that stores use.
type host struct {
	anyHost
	instance processor.Store
	dropped  *int
}

func (h host) Store(string) (processor.Store, error) { return h.instance, nil }
func (h host) Drop(string)                           { *h.dropped++ }
func (h host) Metadata() processor.Metadata          { return processor.Metadata{Topic: "in"} }

// Processor opens a store, as Open does, and returns the context of a processor that was
// given the store. Call an Open function of the store's package with it.
func (k *Task) Processor(spec processor.StoreSpec) processor.Context[string, string] {
	k.t.Helper()
	return Context(k.Open(spec).(processor.Store), new(int))
}
