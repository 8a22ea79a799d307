package notify

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
)

// tlsConfig is what kinds that speak TLS are configured with.
type tlsConfig struct {
	TLS      bool   `toml:"tls"`
	CAFile   string `toml:"ca-file"`   // whom to trust instead of the system's authorities
	CertFile string `toml:"cert-file"` // of the client
	KeyFile  string `toml:"key-file"`
}

func (c *tlsConfig) check() error {
	switch {
	case !c.TLS && c.CAFile+c.CertFile+c.KeyFile != "":
		return errors.New("ca-file, cert-file and key-file are of no use without tls = true")
	case (c.CertFile == "") != (c.KeyFile == ""):
		return errors.New("cert-file and key-file go together")
	}
	return nil
}

// load reads the files; nil is without TLS.
func (c *tlsConfig) load(dir fileBase) (*tls.Config, error) {
	if !c.TLS {
		return nil, nil
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	pem, err := dir.read("ca-file", c.CAFile)
	if err != nil {
		return nil, err
	}
	if pem != "" {
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM([]byte(pem)) {
			return nil, fmt.Errorf("ca-file: %s holds no certificate", c.CAFile)
		}
	}
	if c.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(dir.path(c.CertFile), dir.path(c.KeyFile))
		if err != nil {
			return nil, fmt.Errorf("cert-file: %w", err)
		}
		conf.Certificates = []tls.Certificate{pair}
	}
	return conf, nil
}
