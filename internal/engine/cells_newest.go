package engine

// KeepNewest is for a table whose keys mostly grow, as those of windows do. A row with a
// key above all rows that the table has now, and above all rows that are evicted later,
// is in memory or does not exist. Reads of such a row do not ask the database. A filter
// of keys cannot tell, because it does not forget the rows that expire.
//
// Call KeepNewest before the first access. All rows must be written through c.
func (c *Cells[K, V]) KeepNewest() error {
	if !c.shortcuts || len(c.cells) > 0 {
		return nil
	}
	rows, err := c.env.Table.Scan(nil, nil)
	if err != nil {
		return err
	}
	if rows.Prev() {
		c.above = string(rows.Key())
	}
	c.newest = true
	return rows.Close()
}
