package store

import (
	"reflect"

	"github.com/millrace-streams/millrace/processor"
)

// Opener makes the handle through which users read and write an instance. An instance
// does not know the type of its handle. Otherwise a program would compile that type for
// each store of a topology, although processors open few of them.
//
// Each store interface of the public packages has a method whose result is its Opener.
// Nobody calls the method: [HandleOf] only looks at the type of its result.
type Opener interface {
	// HandleOf returns the handle of an instance. It returns nil if the instance is not
	// one of the handle's types.
	HandleOf(instance processor.Store) processor.Store
}

// HandleOf returns the handle of an instance as the store interface S of a public
// package. ok is false if S is not one, or not that of the instance.
func HandleOf[S processor.Store](instance processor.Store) (handle S, ok bool) {
	s := reflect.TypeFor[S]()
	if s.Kind() != reflect.Interface {
		return handle, false
	}
	for m := range s.NumMethod() {
		if f := s.Method(m).Type; f.NumIn() == 0 && f.NumOut() == 1 {
			if opener, found := reflect.Zero(f.Out(0)).Interface().(Opener); found {
				handle, ok = opener.HandleOf(instance).(S)
				return handle, ok
			}
		}
	}
	return handle, false
}
