"""Encode and name IPP messages: RFC 8010 (encoding) and RFC 8011 (model)."""
