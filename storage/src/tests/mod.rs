//! The store as a whole, against models, crashes and a failing disk.

mod backups;
mod basics;
mod closing;
mod damage;
mod direct;
mod directory;
mod disk;
mod disk_space;
mod extents;
mod failing;
mod folding;
mod live_damage;
mod model;
mod offline;
mod presence;
mod records;
mod shared;
mod space;
mod world;
