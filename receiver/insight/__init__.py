"""What a deploy changed and did to the API's traffic, from what is already known of markers and figures."""
