package integration

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"time"
)

// certificates are a self-signed server certificate for the loopback address, and its
// key, as PEM.
type certificates struct {
	cert, key []byte
}

func newCertificates() (*certificates, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "kafka"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return &certificates{
		cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}),
		key:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
	}, nil
}

// keyStore is the broker's key and certificate in one PEM file, for ssl.keystore.type
// PEM.
func (c *certificates) keyStore() io.Reader {
	return io.MultiReader(bytes.NewReader(c.key), bytes.NewReader(c.cert))
}

func (c *certificates) trustStore() io.Reader { return bytes.NewReader(c.cert) }

// client is a TLS configuration that trusts only this certificate.
func (c *certificates) client() *tls.Config {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(c.cert)
	return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
}
