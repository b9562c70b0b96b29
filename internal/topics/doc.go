// Package topics creates and checks the internal topics of an application, and describes the topics that it reads and
// writes.
//
// An internal topic that exists already is never changed: it holds state. It is compared with what the application
// needs, and what does not fit is reported with what was found, what was expected and what to do.
package topics
