package millrace_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/millrace-streams/millrace"
)

// probe answers a probe of Kubernetes: 200 or 503, and the reason.
func probe(ask func() (ok bool, reason string)) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		ok, reason := ask()
		if !ok {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		fmt.Fprintln(w, reason)
	}
}

// The two probes of a service, over HTTP.
func ExampleApp_Live() {
	t, _ := countWords()
	app, err := millrace.New(t, millrace.Config{ApplicationID: "words", Brokers: []string{"broker:9092"}, StateDir: "/var/lib/words"})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/live", probe(app.Live))
	mux.Handle("/ready", probe(app.Ready))

	// A service has http.ListenAndServe, and app.Run beside it.
	server := httptest.NewServer(mux)
	defer server.Close()
	for _, path := range []string{"/live", "/ready"} {
		resp, err := http.Get(server.URL + path)
		if err != nil {
			log.Fatal(err)
		}
		reason, err := io.ReadAll(resp.Body)
		if err != nil {
			log.Fatal(err)
		}
		resp.Body.Close()
		fmt.Printf("%s: %d %s", path, resp.StatusCode, reason)
	}
	// Output:
	// /live: 200 the application is created
	// /ready: 503 Run has not been called
}
