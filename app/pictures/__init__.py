"""From bytes to arrays and back; drawings as SVG and PNG."""
