"""The console: pages in the browser for the chart, the markers and the deliveries."""
