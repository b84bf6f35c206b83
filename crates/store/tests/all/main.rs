//! Tests of the store: one suite over every engine, a naive model, crashes, damage, sums, sealing, stamps.

#[cfg(test)]
mod concurrency;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod damage;
#[cfg(test)]
mod disk;
#[cfg(test)]
mod export;
#[cfg(test)]
mod file;
#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod model;
#[cfg(test)]
mod naive;
#[cfg(test)]
mod power;
#[cfg(test)]
mod raw;
#[cfg(test)]
mod seal;
#[cfg(test)]
mod stamp;
#[cfg(test)]
mod sum;
#[cfg(test)]
mod unknown;
#[cfg(test)]
mod unverified;
#[cfg(test)]
mod watch;
