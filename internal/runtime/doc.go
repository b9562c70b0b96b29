// Package runtime runs an application: it joins the group, holds the tasks that the group
// gives to this process, brings their state up to date, and hands them to workers.
//
// The root package makes a [Run] from a [Config] and runs it once. The Run tells it
// through [Events] what happens; the root turns that into the state of the App and into
// calls of hooks.
package runtime
