"""The Scrapy side of the comparison.

Crawls the seeds in a file, one a line, each host by itself, with at most one request at a time to a host and a fixed
pause between two, and obeys robots.txt. It follows <a href> within the host and, with a directory to save to, writes
every body to a file of its own.

Usage: spider.py SEEDS DELAY_SECONDS CONCURRENCY [DIRECTORY]
"""

import hashlib
import os
import sys
from urllib.parse import urldefrag, urlsplit

import scrapy
from scrapy.crawler import CrawlerProcess


class Spider(scrapy.Spider):
    name = "bench"

    def __init__(self, seeds, save=None, **kwargs):
        super().__init__(**kwargs)
        self.seeds = seeds
        self.save = save

    async def start(self):
        for url in self.seeds:
            yield scrapy.Request(url)  # filtered like any other: pages link to the seeds

    def parse(self, response):
        if self.save:
            name = hashlib.sha256(response.url.encode()).hexdigest()[:32]
            with open(os.path.join(self.save, name), "wb") as f:
                f.write(response.body)
        if not isinstance(response, scrapy.http.HtmlResponse):
            return
        here = urlsplit(response.url)
        for href in response.xpath("//a/@href").getall():
            try:
                url = urldefrag(response.urljoin(href.strip())).url
                there = urlsplit(url)
            except ValueError:
                continue
            if (there.scheme, there.netloc) == (here.scheme, here.netloc):
                yield scrapy.Request(url)


def main():
    seeds_file, delay, concurrency = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
    save = sys.argv[4] if len(sys.argv) > 4 else None
    with open(seeds_file) as f:
        seeds = f.read().split()
    process = CrawlerProcess(
        {
            "USER_AGENT": "bench-scrapy (+http://127.0.0.1/bot)",
            "ROBOTSTXT_OBEY": True,
            "CONCURRENT_REQUESTS": concurrency,
            "CONCURRENT_REQUESTS_PER_DOMAIN": 1,
            "DOWNLOAD_DELAY": delay,
            "RANDOMIZE_DOWNLOAD_DELAY": False,
            # What its manual advises for many hosts: the next request is one of the least busy host.
            "SCHEDULER_PRIORITY_QUEUE": "scrapy.pqueues.DownloaderAwarePriorityQueue",
            "TELNETCONSOLE_ENABLED": False,
            "COOKIES_ENABLED": False,
            "LOG_LEVEL": "ERROR",
        }
    )
    process.crawl(Spider, seeds=seeds, save=save)
    process.start()


if __name__ == "__main__":
    main()
