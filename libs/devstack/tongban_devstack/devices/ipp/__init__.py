"""Internet Printing Protocol, the printer's side: RFC 8010 (encoding) and RFC 8011 (model)."""
