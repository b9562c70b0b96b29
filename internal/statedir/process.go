package statedir

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"
)

var (
	// ErrOtherApplication is returned by Open if the directory was made for another
	// application ID.
	ErrOtherApplication = errors.New("the directory belongs to another application")
	// ErrCorrupt is returned by Open if process.json is not a file that this package
	// writes.
	ErrCorrupt = errors.New("the file is damaged")
	// ErrNewerFormat is returned by Open if a newer version of the library made the
	// directory.
	ErrNewerFormat = errors.New("a newer version of the library wrote the file")
)

// formatVersion is the version of process.json and of the directory's layout. Every new
// field needs a new version.
const formatVersion = 1

// process is the content of process.json.
type process struct {
	Format           int       `json:"format"`
	ApplicationID    string    `json:"application_id"`
	ProcessID        string    `json:"process_id"`
	TransactionalIDs []string  `json:"transactional_ids"`
	Topology         *topology `json:"topology,omitempty"`
}

type topology struct {
	Fingerprint string `json:"fingerprint"`
	Description []byte `json:"description"` // base64
}

func (p process) marshal() ([]byte, error) {
	p.Format = formatVersion
	data, err := json.MarshalIndent(p, "", "  ")
	return append(data, '\n'), err
}

// parseProcess reads what marshal writes, and nothing else.
func parseProcess(data []byte) (process, error) {
	var version struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(data, &version); err != nil {
		return process{}, corrupt(err)
	}
	if version.Format > formatVersion {
		return process{}, fmt.Errorf("%w: format %d, and this version knows %d; upgrade this process, or remove the directory to restore all state from Kafka",
			ErrNewerFormat, version.Format, formatVersion)
	}
	var p process
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return process{}, corrupt(err)
	}
	if p.Format < 1 || p.ApplicationID == "" {
		return process{}, corrupt(errors.New("format or application_id is missing"))
	}
	if id, err := uuid.Parse(p.ProcessID); err != nil || id.String() != p.ProcessID {
		return process{}, corrupt(fmt.Errorf("process_id %q is not a UUID", p.ProcessID))
	}
	return p, nil
}

func corrupt(err error) error {
	return fmt.Errorf("%w: %w; put the file back from a backup of this machine, or remove the file: the process then joins as a new member and keeps "+
		"the state in tasks (remove the whole directory instead if the topology may have changed since; the state is then restored from Kafka)",
		ErrCorrupt, err)
}
