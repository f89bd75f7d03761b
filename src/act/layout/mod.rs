//! Folders of a service, and the life of files dropped into them.
