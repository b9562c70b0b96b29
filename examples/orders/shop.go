package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

var (
	users = map[string]user{
		"ann": {"Ann Berg", "no"}, "bob": {"Bob Diaz", "es"}, "eve": {"Eve Roux", "fr"},
		"kim": {"Kim Dahl", "no"}, "leo": {"Leo Ruiz", "es"}, "mia": {"Mia Petit", "fr"},
	}
	regions = map[string]region{"no": {"Norway", 25}, "es": {"Spain", 21}, "fr": {"France", 20}}
	items   = []string{"tea", "coffee", "cocoa", "honey", "rice"}
	prices  = []cents{420, 650, 510, 790, 330}
)

// shop makes up orders and payments, in the shop's own time.
type shop struct {
	send   func(ctx context.Context, topic, key string, value any, at time.Time) error
	rng    *rand.Rand
	ids    []string // of the users, in order
	now    time.Time
	orders int
	owed   []due // payments that are still to come, by time
}

// due is a payment in the future.
type due struct {
	order string
	at    time.Time
}

// newShop returns a shop that opens at the present minute. It passes its records to send.
func newShop(send func(ctx context.Context, topic, key string, value any, at time.Time) error, seed uint64, now time.Time) *shop {
	s := &shop{send: send, rng: rand.New(rand.NewPCG(seed, 0)), now: now.UTC().Truncate(time.Minute)}
	for id := range users {
		s.ids = append(s.ids, id)
	}
	slices.Sort(s.ids)
	return s
}

// open writes the tables.
func (s *shop) open(ctx context.Context) error {
	for id, u := range users {
		if err := s.send(ctx, "users", id, u, s.now); err != nil {
			return err
		}
	}
	for code, r := range regions {
		if err := s.send(ctx, "regions", code, r, s.now); err != nil {
			return err
		}
	}
	return nil
}

// run does business until ctx ends, as soon as the application runs.
func (s *shop) run(ctx context.Context, running <-chan struct{}, speed int) error {
	select {
	case <-running:
	case <-ctx.Done():
		return nil
	}
	ticker := time.NewTicker(time.Second / time.Duration(speed))
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
		if err := s.second(ctx); err != nil && ctx.Err() == nil {
			return err
		}
	}
}

// second is a second of the shop's time: perhaps an order, and the payments that are due.
// One order in eight is not paid, or too late.
func (s *shop) second(ctx context.Context) error {
	s.now = s.now.Add(time.Second)
	for len(s.owed) > 0 && !s.owed[0].at.After(s.now) {
		if err := s.send(ctx, "payments", s.owed[0].order, payment{s.now}, s.now); err != nil {
			return err
		}
		s.owed = s.owed[1:]
	}
	if s.rng.IntN(3) == 0 {
		return nil
	}
	o := s.order()
	after := time.Duration(1+s.rng.IntN(15)) * time.Second
	switch s.rng.IntN(16) {
	case 0: // never
		return s.send(ctx, "orders", o.User, o, s.now)
	case 1:
		after += payBy
	}
	s.owed = append(s.owed, due{o.ID, s.now.Add(after)})
	slices.SortStableFunc(s.owed, func(a, b due) int { return a.at.Compare(b.at) })
	return s.send(ctx, "orders", o.User, o, s.now)
}

func (s *shop) order() order {
	s.orders++
	item := s.rng.IntN(len(items))
	return order{
		ID: fmt.Sprint(s.orders), User: s.ids[s.rng.IntN(len(s.ids))], At: s.now,
		Item: items[item], Price: prices[item], Count: 1 + s.rng.Int64N(4),
	}
}

// sendTo returns a function that writes records as JSON. It returns when Kafka has a
// record.
func sendTo(client *kgo.Client) func(ctx context.Context, topic, key string, value any, at time.Time) error {
	return func(ctx context.Context, topic, key string, value any, at time.Time) error {
		data, err := json.Marshal(value)
		if err != nil {
			return err
		}
		return client.ProduceSync(ctx, &kgo.Record{Topic: topic, Key: []byte(key), Value: data, Timestamp: at}).FirstErr()
	}
}
