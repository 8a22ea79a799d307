package remote

import "context"

// Leave sends a part of a file and ends like a process that was killed.
func (s *Store) Leave(ctx context.Context, name string, data []byte) error {
	f, err := s.begin(ctx, name, false)
	if err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		return err
	}
	return f.(*writer).upload.wait()
}
