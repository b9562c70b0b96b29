package main

import (
	"fmt"
	"time"
)

// partitions is the number of partitions of each topic.
const partitions = 2

// The topics of the shop. All values are JSON. The topics of tables are compacted, so
// that Kafka keeps the newest record of each key.
var tables = []string{
	"users",   // user by ID
	"regions", // region by code
}

var streams = []string{
	"orders",   // order by user
	"payments", // payment by order

	"settled",    // settled by order: paid or not
	"totals",     // total by user
	"per-minute", // revenue by region and minute, final
}

// cents is an amount of money.
type cents int64

func (c cents) String() string { return fmt.Sprintf("%d.%02d", c/100, c%100) }

type user struct {
	Name   string `json:"name"`
	Region string `json:"region"` // code
}

type region struct {
	Name string `json:"name"`
	VAT  int64  `json:"vat"` // percent
}

type order struct {
	ID    string    `json:"id"`
	User  string    `json:"user"` // ID
	Item  string    `json:"item"`
	Count int64     `json:"count"`
	Price cents     `json:"price"` // of one
	At    time.Time `json:"at"`
}

type payment struct {
	At time.Time `json:"at"`
}

// priced is an order with what the shop knows about its user and region.
type priced struct {
	order
	Name   string `json:"name"`
	Code   string `json:"code"`   // of the region
	Region string `json:"region"` // its name
	Total  cents  `json:"total"`  // with VAT
}

// settled is an order that was paid in time, or was not.
type settled struct {
	priced
	Paid    bool `json:"paid"`
	Seconds int  `json:"seconds"` // from the order to the payment
}

// total is what a user has paid so far, or a region in a minute.
type total struct {
	Name   string `json:"name"`
	Orders int    `json:"orders"`
	Sum    cents  `json:"sum"`
}

func (t total) add(name string, s settled) total {
	return total{Name: name, Orders: t.Orders + 1, Sum: t.Sum + s.Total}
}
