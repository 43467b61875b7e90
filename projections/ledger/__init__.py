"""The audit ledger: a projection of the log that proves it, by hash chain, Merkle trees and signatures."""
