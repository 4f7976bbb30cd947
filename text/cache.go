package text

import "strings"

// cacheEntries bounds a cache: the vocabulary of a language that makes up nearly all of its text fits, at about 6 MB.
const cacheEntries = 1 << 16

// cache remembers a function from words to words. When full it forgets everything and starts again: the frequent words
// are back at once, and no bookkeeping is paid for on each hit. The zero value is ready.
type cache struct{ m map[string]string }

func (c *cache) get(key string) (string, bool) {
	v, ok := c.m[key]
	return v, ok
}

// put remembers value under a copy of key, and returns a value that shares no memory with larger texts.
func (c *cache) put(key, value string) string {
	if c.m == nil {
		c.m = make(map[string]string)
	}
	if len(c.m) >= cacheEntries {
		clear(c.m)
	}
	same := key == value
	key = strings.Clone(key)
	if same {
		value = key
	} else {
		value = strings.Clone(value)
	}
	c.m[key] = value
	return value
}
