package crawl

// UserAgent returns what every request says of itself: this program's name and version, the operator, and where to read more.
func (c *Crawler) UserAgent() string { return c.cfg.userAgent() }
